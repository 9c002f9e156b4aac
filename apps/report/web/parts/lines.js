// Lines of figures over steps: smoothed, joined over seeds, and put on one common x axis. A line is {x: […], y: […]} with
// null in y where the run has no value.

{
  const isKnown = (value) => value !== null && value !== undefined;

  // The mean of the points up to each one, whose weights halve with every `halfLife` steps into the past.
  const smooth = (steps, values, halfLife) => {
    if (!(halfLife > 0)) return values;
    let sum = 0;
    let weights = 0;
    let last = null;
    return values.map((value, index) => {
      if (!isKnown(value)) return null;
      const gap = last === null ? 0 : steps[index] - last;
      const kept = 0.5 ** (gap / halfLife);
      const fresh = last === null ? 1 : 1 - kept; // a point after a long gap stands for more steps
      sum = sum * kept + value * fresh;
      weights = weights * kept + fresh;
      last = steps[index];
      return sum / weights;
    });
  };

  // The value of a line at x, on the straight line between its neighbours. Outside of the line there is none.
  const reader = (line) => {
    let place = 0;
    return (x) => {
      while (place < line.x.length && line.x[place] < x) place += 1;
      if (place === line.x.length) return null;
      if (line.x[place] === x) return line.y[place];
      if (place === 0 || !isKnown(line.y[place]) || !isKnown(line.y[place - 1])) return null;
      const part = (x - line.x[place - 1]) / (line.x[place] - line.x[place - 1]);
      return line.y[place - 1] + part * (line.y[place] - line.y[place - 1]);
    };
  };

  const union = (lists) => Float64Array.from(new Set(lists.flatMap((list) => Array.from(list)))).sort();

  // Several seeds become their mean, with the lowest and the highest of them. Where only some seeds have a value yet,
  // these are counted.
  const join = (lines) => {
    if (lines.length === 1) return { ...lines[0], low: null, high: null };
    const x = Array.from(union(lines.map((line) => line.x)));
    const readers = lines.map(reader);
    const joined = { x, y: [], low: [], high: [] };
    for (const at of x) {
      const values = readers.map((read) => read(at)).filter(isKnown);
      joined.y.push(values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
      joined.low.push(values.length ? Math.min(...values) : null);
      joined.high.push(values.length ? Math.max(...values) : null);
    }
    return joined;
  };

  // Common x values for all lines. Lines with too many different ones are moved to a fine grid, by less than a pixel.
  const commonGrid = (lines, log, limit) => {
    const all = union(lines.map((line) => line.x));
    const usable = log ? all.filter((x) => x > 0) : all;
    if (usable.length <= limit) return { x: Array.from(usable), place: null };
    const to = log ? Math.log : (value) => value;
    const from = log ? Math.exp : (value) => value;
    const first = to(usable[0]);
    const width = (to(usable[usable.length - 1]) - first) / (limit - 1);
    const x = Array.from({ length: limit }, (_, index) => from(first + index * width));
    return { x, place: (value) => Math.round((to(value) - first) / width) };
  };

  // Columns for uPlot: `undefined` where a line has no point at an x of others, and null where it has a gap.
  const align = (lines, { log = false, limit = 4000 } = {}) => {
    const grid = commonGrid(lines, log, limit);
    const index = grid.place ? null : new Map(grid.x.map((x, place) => [x, place]));
    const place = grid.place ?? ((x) => index.get(x));
    const column = (xs, ys) => {
      const cells = new Array(grid.x.length).fill(undefined);
      for (let point = 0; point < xs.length; point += 1) {
        if (log && !(xs[point] > 0)) continue;
        const cell = place(xs[point]);
        if (!isKnown(cells[cell])) cells[cell] = ys[point] ?? null;
      }
      return cells;
    };
    return {
      x: grid.x,
      columns: lines.map((line) => [line.y, line.low, line.high].map((ys) => (ys ? column(line.x, ys) : null))),
    };
  };

  // The point of a line that is nearest to x and has a value; null outside of the line.
  const nearest = (line, x) => {
    const { x: xs, y: ys } = line;
    let low = 0;
    let high = xs.length - 1;
    if (high < 0) return null;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle;
      else high = middle;
    }
    const room = xs.length > 1 ? (xs[xs.length - 1] - xs[0]) / (xs.length - 1) : Infinity;
    if (x < xs[0] - room || x > xs[xs.length - 1] + room) return null;
    const best = Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
    return isKnown(ys[best]) ? { x: xs[best], y: ys[best] } : null;
  };

  // Twenty rows at most, which are spread evenly over the points of the line with the most points.
  const table = (lines, first, show, showX) => {
    const longest = lines.reduce((best, line) => (line.x.length > best.length ? line.x : best), []);
    const count = Math.min(20, longest.length);
    const at = Array.from(
      { length: count },
      (_, index) => longest[Math.round((index * (longest.length - 1)) / Math.max(1, count - 1))],
    );
    return {
      head: [first, ...lines.map((line) => line.label)],
      rows: at.map((x) => [showX(x), ...lines.map((line) => show(nearest(line, x)?.y))]),
    };
  };

  granule.lines = { smooth, join, align, nearest, table };
}
