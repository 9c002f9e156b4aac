// A forest: one row for each value with its interval, and a line at zero.

{
  const { svg, points, ticks, range } = granule;

  // Where things are. On a narrow screen the name and the numbers stand above the bar.
  const placed = (width, rows) => {
    const narrow = width < 560;
    const longest = Math.max(...rows.map((row) => row.name.length));
    const left = narrow ? 8 : Math.min(width * 0.36, 20 + 7 * longest);
    const right = width - (narrow ? 8 : 190);
    const [low, high] = range([0, ...rows.flatMap((row) => [row.mean, ...(row.interval ?? [])])], { room: 0.08 });
    const tall = narrow ? 62 : 30;
    const x = (value) => left + ((value - low) / (high - low)) * (right - left);
    return { narrow, left, right, low, high, tall, x, bottom: 10 + rows.length * tall };
  };

  const axes = ({ left, right, low, high, bottom, x }, name, width) => {
    const marks = ticks(low, high, { count: Math.max(2, Math.floor((right - left) / 90)) });
    const texts = granule.tickTexts(marks, granule.format.number);
    return [
      ...marks.map((mark) => points.grid(x(mark), 6, x(mark), bottom)),
      ...marks.map((mark, index) => points.text(x(mark), bottom + 16, texts[index], { 'text-anchor': 'middle' })),
      points.grid(x(0), 6, x(0), bottom, 'stroke:var(--ink);stroke-width:1.5'),
      points.text((left + right) / 2, bottom + 34, points.cut(name, width - 20), { 'text-anchor': 'middle' }),
    ];
  };

  const rowOf = (row, index, width, { narrow, left, tall, x }) => {
    const top = 10 + index * tall;
    const y = top + (narrow ? 46 : tall / 2);
    const name = points.cut(row.name, narrow ? width - 16 : left - 16);
    const texts = narrow
      ? [points.text(left, y - 30, name, { class: 'text strong' }), points.text(left, y - 14, row.figures)]
      : [
          points.text(left - 10, y + 4, name, { 'text-anchor': 'end', class: 'text strong' }),
          points.text(width - 4, y + 4, row.figures, { 'text-anchor': 'end' }),
        ];
    const ends = row.interval ? row.interval.map((value) => [x(value), y]) : [];
    const mark = row.mean === null ? [] : points.mark(row.style, x(row.mean), y, ...ends);
    return svg('g', { class: 'point' }, svg('rect', { x: 0, y: top, width, height: tall, fill: 'transparent' }), texts, mark);
  };

  // rows: [{name, style, mean, interval, figures, sentence}]
  granule.forest = (box, width, { rows, axis, label, say }) => {
    const places = placed(width, rows);
    const root = points.picture(box, width, places.bottom + 48, label);
    root.append(...axes(places, axis, width));
    const groups = rows.map((row, index) => ({
      node: rowOf(row, index, width, places),
      sentence: `${row.name}: ${row.sentence}`,
    }));
    root.append(...groups.map(({ node }) => node));
    points.reachable(groups, say);
  };
}
