// What pictures of points in SVG share: text, marks with intervals, and points that the keyboard reaches.

{
  const { svg, palette } = granule;

  const GRID = 'stroke:var(--grid)';

  const text = (x, y, content, more = {}) => svg('text', { x, y, class: 'text', ...more }, content);

  const whisker = (x1, y1, x2, y2, colour) => {
    const [acrossX, acrossY] = x1 === x2 ? [4, 0] : [0, 4];
    const line = (fromX, fromY, toX, toY) =>
      svg('line', { x1: fromX, x2: toX, y1: fromY, y2: toY, style: `stroke:${colour}`, 'stroke-width': 2 });
    const cap = (x, y) => line(x - acrossX, y - acrossY, x + acrossX, y + acrossY);
    return [line(x1, y1, x2, y2), cap(x1, y1), cap(x2, y2)];
  };

  granule.points = {
    text,
    grid: (x1, y1, x2, y2, style = GRID) => svg('line', { x1, x2, y1, y2, style }),
    picture: (box, width, height, label) => {
      const root = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': label });
      box.append(root);
      return root;
    },
    // A mark at (x, y) whose interval ends at `from` and `to`, which are points too. Without an interval the mark is hollow.
    mark: (style, x, y, from, to) => [
      ...(from ? whisker(...from, ...to, palette.style(style).colour) : []),
      palette.marker(style, x, y, 5, !from),
    ],
    // A name that is too long for its room loses its middle.
    cut: (name, room) => {
      const most = Math.max(6, Math.floor(room / 6.6));
      if (name.length <= most) return name;
      return `${name.slice(0, Math.ceil(most / 2) - 1)}…${name.slice(name.length - Math.floor(most / 2))}`;
    },
    // Only one point is reached with Tab. Arrow keys go from one to the next, and each says what it is.
    reachable: (groups, say) => {
      groups.forEach(({ node, sentence }, index) => {
        node.setAttribute('tabindex', index === 0 ? '0' : '-1');
        node.setAttribute('role', 'img');
        node.setAttribute('aria-label', sentence);
        node.addEventListener('pointerenter', () => say(sentence));
        node.addEventListener('focus', () => say(sentence));
        node.addEventListener('keydown', (event) => {
          const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          const next = groups[(index + step + groups.length) % groups.length].node;
          node.setAttribute('tabindex', '-1');
          next.setAttribute('tabindex', '0');
          next.focus();
        });
      });
    },
  };
}
