// Points over two axes, with an interval upwards and downwards.

{
  const { svg, points: drawing, ticks, range } = granule;

  const LONGEST = 24; // characters of a label
  const AROUND = [
    [9, 4, 'start'],
    [-9, 4, 'end'],
    [0, -11, 'middle'],
    [0, 19, 'middle'],
  ];

  // Points with nearly the same x stand side by side.
  const sideBySide = (places) => {
    const order = places.map((_, index) => index).sort((left, right) => places[left] - places[right]);
    const moved = [...places];
    for (let first = 0; first < order.length;) {
      let next = first + 1;
      while (next < order.length && places[order[next]] - places[order[next - 1]] < 8) next += 1;
      const middle = (places[order[first]] + places[order[next - 1]]) / 2;
      const room = Math.min(13, 60 / (next - first));
      const group = order.slice(first, next);
      if (group.length > 1) group.forEach((point, at) => (moved[point] = middle + (at - (group.length - 1) / 2) * room));
      first = next;
    }
    return moved;
  };

  // A label beside a point, where it lies on nothing that is taken; null if there is no such place.
  const label = (taken, { px, py }, name, width, top) => {
    const size = Math.min(name.length, LONGEST) * 6.6 + 4;
    const part = { start: 0, middle: 0.5, end: 1 };
    for (const [dx, dy, anchor] of AROUND) {
      const left = px + dx - part[anchor] * size;
      const [above, below] = [py + dy - 11, py + dy + 3];
      const outside = left < 2 || left + size > width - 2 || above < top;
      const onOther = (other) => left < other[2] && left + size > other[0] && above < other[3] && below > other[1];
      if (outside || taken.some(onOther)) continue;
      taken.push([left, above, left + size, below]);
      return drawing.text(px + dx, py + dy, drawing.cut(name, LONGEST * 6.6), { 'text-anchor': anchor });
    }
    return null;
  };

  // Where values are in the picture.
  const placed = (width, height, { points, x, y }) => {
    const to = x.log ? Math.log : (value) => value;
    const rangeX = range(
      points.map((point) => point.x),
      { log: x.log, room: 0.12 },
    );
    const [lowX, highX] = rangeX.map(to);
    const [lowY, highY] = range(
      points.flatMap((point) => [point.y, ...(point.interval ?? [])]),
      { room: 0.08 },
    );
    const marksY = ticks(lowY, highY, { count: 5 });
    const textsY = granule.tickTexts(marksY, y.show);
    const left = 30 + 7 * Math.max(...textsY.map((tick) => tick.length));
    const [top, bottom, right] = [10, height - 44, width - 10];
    const marksX = ticks(...rangeX, { count: Math.max(2, Math.floor((right - left) / 100)), log: x.log });
    return {
      ...{ left, right, top, bottom, marksX, marksY, textsY },
      x: (value) => left + ((to(value) - lowX) / (highX - lowX)) * (right - left),
      y: (value) => bottom - ((value - lowY) / (highY - lowY)) * (bottom - top),
    };
  };

  const axes = (place, x, y, height) => {
    const { left, right, top, bottom } = place;
    const across = granule.tickTexts(place.marksX, x.show).flatMap((text, index) => {
      const at = place.x(place.marksX[index]);
      return [drawing.grid(at, top, at, bottom), drawing.text(at, bottom + 18, text, { 'text-anchor': 'middle' })];
    });
    const upwards = place.textsY.flatMap((text, index) => {
      const at = place.y(place.marksY[index]);
      return [drawing.grid(left, at, right, at), drawing.text(left - 8, at + 4, text, { 'text-anchor': 'end' })];
    });
    const turned = { 'text-anchor': 'middle', transform: `translate(12,${(top + bottom) / 2}) rotate(-90)` };
    const names = [
      drawing.text((left + right) / 2, height - 6, x.name, { 'text-anchor': 'middle' }),
      drawing.text(0, 0, y.name, turned),
    ];
    return [...across, ...upwards, ...names];
  };

  // points: [{name, style, x, y, interval, sentence}]. x, y: {name, show, log}.
  granule.scatter = (box, width, { points, x, y, height, label: name, say }) => {
    const place = placed(width, height, { points, x, y });
    const root = drawing.picture(box, width, height, name);
    root.append(...axes(place, x, y, height));
    const columns = sideBySide(points.map((point) => place.x(point.x)));
    const spots = points.map((point, index) => ({ px: columns[index], py: place.y(point.y) }));
    const ends = points.map((point, index) => (point.interval ?? []).map((value) => [columns[index], place.y(value)]));
    const groups = points.map((point, index) => {
      const { px, py } = spots[index];
      const near = svg('circle', { cx: px, cy: py, r: 12, fill: 'transparent' });
      return {
        node: svg('g', { class: 'point' }, near, drawing.mark(point.style, px, py, ...ends[index])),
        sentence: point.sentence,
      };
    });
    root.append(...groups.map(({ node }) => node));
    // Labels are shown if all of them have room. The list above the pictures names the marks in any case.
    const taken = spots.map(({ px, py }, index) => {
      const [[, low], [, high]] = ends[index].length
        ? ends[index]
        : [
            [0, py],
            [0, py],
          ];
      return [px - 6, Math.min(high, py - 6), px + 6, Math.max(low, py + 6)];
    });
    const labels = points.map((point, index) => label(taken, spots[index], point.name, width, place.top));
    if (labels.every((node) => node)) root.append(...labels);
    drawing.reachable(groups, say);
  };
}
