// Pictures of points with intervals, in SVG: rows along one axis, and points over two axes.

{
  const { svg, palette, ticks, range } = granule;

  const GRID = 'stroke:var(--grid)';
  const text = (x, y, content, more = {}) => svg('text', { x, y, class: 'text', ...more }, content);

  // Only one point is reached with Tab. Arrow keys go from one to the next, and each says what it is.
  const reachable = (groups, say) => {
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
  };

  const whisker = (x1, y1, x2, y2, colour) => {
    const across = x1 === x2 ? [4, 0] : [0, 4];
    const cap = (x, y) => svg('line', { x1: x - across[0], x2: x + across[0], y1: y - across[1], y2: y + across[1], style: `stroke:${colour}`, 'stroke-width': 2 });
    return [svg('line', { x1, y1, x2, y2, style: `stroke:${colour}`, 'stroke-width': 2 }), cap(x1, y1), cap(x2, y2)];
  };

  const picture = (box, width, height, label) => {
    const root = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': label });
    box.append(root);
    return root;
  };

  // rows: [{name, style, mean, interval, figures, sentence}] as a forest: one row each, with a line at zero.
  granule.forest = (box, width, { rows, axis, label, say }) => {
    const narrow = width < 560;
    const tall = narrow ? 62 : 30;  // on a narrow screen the name and the numbers stand above the bar
    const left = narrow ? 8 : Math.min(width * 0.36, 20 + 7 * Math.max(...rows.map((row) => row.name.length)));
    const right = narrow ? 8 : 190;
    const height = 16 + rows.length * tall + 42;
    const [low, high] = range([0, ...rows.flatMap((row) => [row.mean, ...(row.interval ?? [])])], { room: 0.08 });
    const place = (value) => left + ((value - low) / (high - low)) * (width - left - right);
    const root = picture(box, width, height, label);
    const bottom = 10 + rows.length * tall;
    for (const tick of ticks(low, high, { count: Math.max(2, Math.floor((width - left - right) / 90)) })) {
      root.append(svg('line', { x1: place(tick), x2: place(tick), y1: 6, y2: bottom, style: GRID }),
        text(place(tick), bottom + 16, granule.format.number(tick), { 'text-anchor': 'middle' }));
    }
    root.append(svg('line', { x1: place(0), x2: place(0), y1: 6, y2: bottom, style: 'stroke:var(--ink);stroke-width:1.5' }),
      text((left + width - right) / 2, bottom + 34, cut(axis, width - 20), { 'text-anchor': 'middle' }));
    const groups = rows.map((row, index) => {
      const y = 10 + index * tall + (narrow ? 46 : tall / 2);
      const colour = palette.style(row.style).colour;
      const name = cut(row.name, narrow ? width - 16 : left - 16);
      const node = svg('g', { class: 'point' }, svg('rect', { x: 0, y: 10 + index * tall, width, height: tall, fill: 'transparent' }),
        text(narrow ? left : left - 10, narrow ? y - 30 : y + 4, name, { 'text-anchor': narrow ? 'start' : 'end', class: 'text strong' }),
        text(narrow ? left : width - 4, narrow ? y - 14 : y + 4, row.figures, { 'text-anchor': narrow ? 'start' : 'end' }));
      if (row.interval) node.append(...whisker(place(row.interval[0]), y, place(row.interval[1]), y, colour));
      if (row.mean !== null) node.append(palette.marker(row.style, place(row.mean), y, 5, !row.interval));
      root.append(node);
      return { node, sentence: `${row.name}: ${row.sentence}` };
    });
    reachable(groups, say);
  };

  const cut = (name, room) => {
    const most = Math.max(6, Math.floor(room / 6.6));
    return name.length > most ? `${name.slice(0, Math.ceil(most / 2) - 1)}…${name.slice(name.length - Math.floor(most / 2))}` : name;
  };

  // A label is left out if it would lie on another one.
  const label = (taken, x, y, name, width, top) => {
    const size = Math.min(name.length, 24) * 6.6 + 4;
    for (const [dx, dy, anchor] of [[9, 4, 'start'], [-9, 4, 'end'], [0, -11, 'middle'], [0, 19, 'middle']]) {
      const from = x + dx - (anchor === 'end' ? size : anchor === 'middle' ? size / 2 : 0);
      const box = [from, y + dy - 11, from + size, y + dy + 3];
      if (box[0] < 2 || box[2] > width - 2 || box[1] < top) continue;
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      return text(x + dx, y + dy, cut(name, 24 * 6.6), { 'text-anchor': anchor });
    }
    return null;
  };

  // Points with nearly the same x stand side by side.
  const sideBySide = (places) => {
    const order = places.map((_, index) => index).sort((left, right) => places[left] - places[right]);
    const moved = [...places];
    for (let first = 0; first < order.length;) {
      let next = first + 1;
      while (next < order.length && places[order[next]] - places[order[next - 1]] < 8) next += 1;
      const middle = (places[order[first]] + places[order[next - 1]]) / 2;
      const room = Math.min(13, 60 / (next - first));
      for (let at = first; next - first > 1 && at < next; at += 1) moved[order[at]] = middle + (at - first - (next - first - 1) / 2) * room;
      first = next;
    }
    return moved;
  };

  // points: [{name, style, x, y, interval, sentence}]. x, y: {name, show, log}.
  granule.scatter = (box, width, { points, x, y, height, label: name, say }) => {
    const [lowX, highX] = range(points.map((point) => point.x), { log: x.log, room: 0.12 });
    const [lowY, highY] = range(points.flatMap((point) => [point.y, ...(point.interval ?? [])]), { room: 0.08 });
    const marksY = ticks(lowY, highY, { count: 5 });
    const textsY = granule.tickTexts(marksY, y.show);
    const left = 30 + 7 * Math.max(...textsY.map((tick) => tick.length));
    const [top, bottom, right] = [10, height - 44, width - 10];
    const to = x.log ? Math.log : (value) => value;
    const placeX = (value) => left + ((to(value) - to(lowX)) / (to(highX) - to(lowX))) * (right - left);
    const placeY = (value) => bottom - ((value - lowY) / (highY - lowY)) * (bottom - top);
    const root = picture(box, width, height, name);
    const marksX = ticks(lowX, highX, { count: Math.max(2, Math.floor((right - left) / 100)), log: x.log });
    granule.tickTexts(marksX, x.show).forEach((tick, index) => root.append(
      svg('line', { x1: placeX(marksX[index]), x2: placeX(marksX[index]), y1: top, y2: bottom, style: GRID }),
      text(placeX(marksX[index]), bottom + 18, tick, { 'text-anchor': 'middle' })));
    textsY.forEach((tick, index) => root.append(
      svg('line', { x1: left, x2: right, y1: placeY(marksY[index]), y2: placeY(marksY[index]), style: GRID }),
      text(left - 8, placeY(marksY[index]) + 4, tick, { 'text-anchor': 'end' })));
    root.append(text((left + right) / 2, height - 6, x.name, { 'text-anchor': 'middle' }),
      text(0, 0, y.name, { 'text-anchor': 'middle', transform: `translate(12,${(top + bottom) / 2}) rotate(-90)` }));
    const columns = sideBySide(points.map((point) => placeX(point.x)));
    const taken = [];
    const groups = points.map((point, index) => {
      const [px, py] = [columns[index], placeY(point.y)];
      const node = svg('g', { class: 'point' }, svg('circle', { cx: px, cy: py, r: 12, fill: 'transparent' }));
      const [from, end] = point.interval ? point.interval.map(placeY) : [py, py];
      if (point.interval) node.append(...whisker(px, from, px, end, palette.style(point.style).colour));
      node.append(palette.marker(point.style, px, py, 5, !point.interval));
      taken.push([px - 6, Math.min(end, py - 6), px + 6, Math.max(from, py + 6)]);
      root.append(node);
      return { node, sentence: point.sentence };
    });
    // Labels are shown if all of them have room. The list above the pictures names the marks in any case.
    const labels = points.map((point, index) => label(taken, columns[index], placeY(point.y), point.name, width, top));
    if (labels.every((node) => node)) root.append(...labels);
    reachable(groups, say);
  };
}
