// Colours, dashes and markers. Readers who do not see some colours tell the lines apart by dash and marker.

{
  const { svg } = granule;

  const COLOURS = 7; // --line-0 … --line-6 in report.css
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  // Viridis at nine points. Equal steps look equal, also in grey and to readers who confuse red and green.
  const VIRIDIS = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
  ];
  // Paths around 0, about as large as a circle of radius 1.
  const SHAPES = [
    'M-1,0a1,1 0 1 0 2,0a1,1 0 1 0 -2,0z',
    'M-0.9,-0.9h1.8v1.8h-1.8z',
    'M0,-1.2l1.2,2.1h-2.4z',
    'M0,-1.35l1.35,1.35l-1.35,1.35l-1.35,-1.35z',
    'M-1.2,-0.4h0.8v-0.8h0.8v0.8h0.8v0.8h-0.8v0.8h-0.8v-0.8h-0.8z',
    'M0,1.2l1.2,-2.1h-2.4z',
    'M-1.3,0l0.9,-0.4l0.4,-0.9l0.4,0.9l0.9,0.4l-0.9,0.4l-0.4,0.9l-0.4,-0.9z',
  ];

  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  granule.palette = {
    // The value of a colour of report.css in the present theme, for a canvas.
    ink,
    style: (index) => {
      const turn = Math.floor(index / COLOURS);
      return {
        name: `line-${index % COLOURS}`,
        colour: `var(--line-${index % COLOURS})`,
        dash: DASHES[turn % DASHES.length],
        shape: SHAPES[(index + turn) % SHAPES.length],
      };
    },
    // A hollow marker stands for a value without an interval.
    marker: (index, x, y, size, hollow = false) => {
      const style = granule.palette.style(index);
      return svg('path', {
        d: style.shape,
        transform: `translate(${x},${y}) scale(${size})`,
        'stroke-width': 2,
        'vector-effect': 'non-scaling-stroke',
        style: `stroke:${style.colour};fill:${hollow ? 'var(--paper)' : style.colour}`,
      });
    },
    // A short piece of the line, for legends.
    swatch: (index) => {
      const style = granule.palette.style(index);
      return svg(
        'svg',
        { width: 28, height: 12, 'aria-hidden': 'true', class: 'swatch' },
        svg('line', {
          x1: 1,
          x2: 27,
          y1: 6,
          y2: 6,
          style: `stroke:${style.colour}`,
          'stroke-width': 3,
          'stroke-dasharray': style.dash.join(' ') || null,
        }),
      );
    },
    // part: 0 is the darkest colour and 1 the brightest.
    heat: (part) => {
      const place = Math.min(1, Math.max(0, part)) * (VIRIDIS.length - 1);
      const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
      return VIRIDIS[low].map((value, channel) => Math.round(value + (VIRIDIS[low + 1][channel] - value) * (place - low)));
    },
  };
}
