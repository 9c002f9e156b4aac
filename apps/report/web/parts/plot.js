// Curves in one uPlot. Arrow keys move the reading line, as the pointer does.

{
  const { lines: arithmetic, ticks, palette } = granule;

  const axisOf = (scale, { name, show, log, base, size, count }) => ({
    scale,
    label: name || undefined,
    labelSize: name ? 22 : 0,
    labelFont: '13px system-ui, sans-serif',
    font: '12px system-ui, sans-serif',
    stroke: palette.ink('ink-soft'),
    grid: { stroke: palette.ink('grid'), width: 1 },
    ticks: { stroke: palette.ink('grid'), width: 1, size: 4 },
    splits: (plot, index, low, high) => ticks(low, high, { count: count(plot), log, base }),
    filter: (plot, splits) => splits,
    values: (plot, splits) => granule.tickTexts(splits, show),
    size,
  });

  const scaleOf = (log, room) => ({
    time: false,
    distr: log ? 3 : 1,
    range: (plot, low, high) => (low === null ? granule.range([], { log }) : granule.range([low, high], { log, room })),
  });

  // A line is drawn as itself. One that was joined over seeds has its band beneath.
  const seriesOf = (lines, aligned, logY) => {
    // Bands lie on each other, so the more there are, the lighter each one is.
    const strength = Math.max(0.04, Math.min(0.16, 0.32 / lines.length));
    const shade = Math.round(strength * 255)
      .toString(16)
      .padStart(2, '0');
    const data = [aligned.x];
    const series = [{}];
    const bands = [];
    const usable = (column) => (logY ? column.map((value) => (value === undefined ? value : value > 0 ? value : null)) : column);
    lines.forEach((line, index) => {
      const style = palette.style(line.style);
      const colour = palette.ink(style.name);
      const [middle, low, high] = aligned.columns[index];
      const known = middle.filter((value) => value !== null && value !== undefined).length;
      data.push(usable(middle));
      series.push({
        of: line.name,
        colour,
        stroke: colour,
        width: 2,
        dash: style.dash,
        scale: 'y',
        points: { show: known <= 30, size: 5, fill: colour },
      });
      if (!low) return;
      bands.push({ series: [series.length + 1, series.length], fill: colour + shade });
      for (const edge of [low, high]) {
        data.push(usable(edge));
        series.push({ stroke: 'transparent', width: 0, scale: 'y', points: { show: false }, edge: true });
      }
    });
    return { data, series, bands };
  };

  // Under the pointer, a line shows its nearest point, also if another line has the x value.
  const nearestCell = (plot, index, cell) => {
    const column = plot.data[index];
    for (let away = 0; away < 300; away += 1) {
      if (column[cell - away] !== undefined && column[cell - away] !== null) return cell - away;
      if (column[cell + away] !== undefined && column[cell + away] !== null) return cell + away;
    }
    return cell;
  };

  const cursorOf = (series, lines, small) => ({
    y: false,
    drag: { x: !small, y: false },
    dataIdx: nearestCell,
    points: {
      // With many lines, points would only cover each other.
      show: (plot, index) => !series[index].edge && lines.length <= 24 && granule.el('div', { class: 'u-cursor-pt' }),
      size: 9,
      fill: (plot, index) => series[index].colour,
    },
  });

  const widthOf = (plot, labels) => Math.max(34, 14 + 7 * Math.max(0, ...(labels ?? []).map((label) => String(label).length)));

  // Tells what is at the reading line, once for each place.
  const teller = (lines, read) => {
    let told = null;
    return (plot) => {
      const { left, idx } = plot.cursor;
      const at = left >= 0 && Number.isInteger(idx) ? plot.data[0][idx] : null;
      if (at === told) return;
      told = at;
      read(at, at === null ? null : lines.map((line) => arithmetic.nearest(line, at)));
    };
  };

  // x, y: {name, show, log, base}. lines: [{name, style, x, y, low, high}]. read(x, values) is told what is at the
  // reading line: a value for each line, or null when the line is gone.
  granule.plot = (box, width, { height, x, y, lines, read, small = false, keyboard }) => {
    const { data, series, bands } = seriesOf(lines, arithmetic.align(lines, { log: x.log }), y.log);
    const across = (self) => Math.max(2, Math.floor(self.width / 110));
    const options = {
      ...{ width, height, series, bands },
      padding: [8, 12, 0, 0],
      legend: { show: false },
      focus: { alpha: 0.2 },
      scales: { x: scaleOf(x.log, 0.01), y: scaleOf(y.log, 0.06) },
      cursor: cursorOf(series, lines, small),
      axes: [axisOf('x', { ...x, size: 30, count: across }), axisOf('y', { ...y, size: widthOf, count: () => (small ? 3 : 6) })],
      hooks: { setCursor: [teller(lines, read)] },
    };
    const plot = new uPlot(options, data, box);
    plot.root.setAttribute('aria-hidden', 'true');
    keys(box, plot, keyboard);
    return plot;
  };

  // Instead of a plot there is a text, and nothing that the keyboard could read.
  granule.noPlot = (box, text) => {
    for (const name of ['tabindex', 'role', 'aria-label', 'aria-valuemin', 'aria-valuemax', 'aria-valuenow', 'aria-valuetext']) {
      box.removeAttribute(name);
    }
    box.onkeydown = null;
    box.append(granule.el('p', { class: 'empty' }, text));
  };

  // A slider for the keyboard and for screen readers lies over the plot: its value is the text of `describe()`.
  const keys = (box, plot, { label, describe }) => {
    const last = plot.data[0].length - 1;
    box.setAttribute('tabindex', '0');
    box.setAttribute('role', 'slider');
    box.setAttribute('aria-label', label);
    box.setAttribute('aria-valuemin', '0');
    box.setAttribute('aria-valuemax', String(Math.max(0, last)));
    box.setAttribute('aria-valuenow', '0');
    box.setAttribute('aria-valuetext', 'Press the arrow keys to read values.');
    box.onkeydown = (event) => {
      const page = Math.max(1, Math.round(last / 10));
      const moves = {
        ArrowRight: 1,
        ArrowUp: 1,
        ArrowLeft: -1,
        ArrowDown: -1,
        PageUp: page,
        PageDown: -page,
        Home: -Infinity,
        End: Infinity,
      };
      if (event.key === 'Escape') {
        plot.setCursor({ left: -10, top: -10 });
        return;
      }
      if (!(event.key in moves)) return;
      event.preventDefault();
      const from = plot.cursor.left >= 0 ? (plot.cursor.idx ?? 0) : moves[event.key] > 0 ? -1 : last + 1;
      const to = Math.min(last, Math.max(0, from + moves[event.key]));
      plot.setCursor({ left: plot.valToPos(plot.data[0][to], 'x'), top: plot.over.clientHeight / 2 });
      box.setAttribute('aria-valuenow', String(to));
      box.setAttribute('aria-valuetext', describe());
    };
  };
}
