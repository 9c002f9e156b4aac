// Curves of a chosen figure over steps, tokens, FLOPs or hours: a line for each variant, or for each run.

{
  const { el, metrics, memory, lines: arithmetic, curveOptions } = granule;

  const MOST_HIGHLIGHTED = 60; // with more lines, drawing all of them again is too slow for a pointer that passes by

  const ZOOM = 'Drag across to zoom in, and click twice to zoom out.';
  const MEANS = 'A line is the mean of the seeds that have reached a point. Its band goes from the lowest to the highest seed.';

  const lineOf = (run, metric, options, longest) => {
    const columns = run[metric.in] ?? {};
    const values = metrics.column(run, metric);
    return {
      x: columns[options.x] ?? [],
      y: arithmetic.smooth(columns.step ?? [], values, curveOptions.halfLife(options) * longest),
      low: null,
      high: null,
    };
  };

  // All lines, with those that the reader has hidden.
  const linesOf = ({ runs, variants }, metric, options) => {
    const longest = Math.max(1, ...runs.map((run) => run.steps ?? run.step ?? 0));
    const drawn = (line) => line.x.length > 0 && line.y.some(metrics.isKnown);
    const made = (run) => lineOf(run, metric, options, longest);
    if (options.lines === 'runs') {
      const style = (run, index) => (variants.length > 1 ? run.variant : index);
      return runs
        .map((run, index) => ({ name: run.path, label: run.name, style: style(run, index), ...made(run) }))
        .filter(drawn);
    }
    return variants.flatMap((variant, style) => {
      const seeds = variant.runs.map((index) => made(runs[index])).filter(drawn);
      if (seeds.length === 0) return [];
      const band = options.lines === 'band' ? {} : { low: null, high: null };
      return [{ name: variant.name, label: variant.label, style, ...arithmetic.join(seeds), ...band }];
    });
  };

  class Curves {
    constructor(document_, drawable) {
      this.document = document_;
      this.options = curveOptions.start(document_, drawable);
      this.side = el('div');
      this.where = el('p', { class: 'where' });
      const table = () => arithmetic.table(this.seen, this.axis.name, this.metric.show, this.axis.show);
      this.figure = granule.figure({ title: 'Curves', height: 380, draw: (box, width) => this.draw(box, width), table });
      this.figure.box.after(this.side);
    }

    get metric() {
      return metrics.of(this.options.metric);
    }

    get axis() {
      return metrics.axes.find(({ key }) => key === this.options.x) ?? metrics.axes[0];
    }

    get seen() {
      return this.lines.filter((line) => !this.options.hidden.includes(line.name));
    }

    update(change) {
      Object.assign(this.options, change);
      memory.set('curves', this.options);
      this.lines = linesOf(this.document, this.metric, this.options);
      this.renewLegend();
      this.read(null, null);
      this.figure.rename(`${metrics.named(this.metric)} over ${this.axis.inText}`);
      this.figure.again();
    }

    // The reader keeps the place in the list.
    renewLegend() {
      const focused = this.legend?.items.indexOf(document.activeElement) ?? -1;
      const top = this.legend?.list.scrollTop ?? 0;
      const told = { changed: (hidden) => this.update({ hidden }), highlight: (name) => this.highlight(name) };
      this.legend = granule.legend(this.lines, this.options.hidden, told);
      this.side.replaceChildren(this.where, this.legend.node);
      this.legend.list.scrollTop = top;
      this.legend.items[focused]?.focus();
    }

    draw(box, width) {
      this.plot?.destroy();
      this.plot = null;
      if (this.seen.length === 0) {
        granule.noPlot(box, 'All lines are hidden. Press a line in the list to show it.');
        return;
      }
      this.plot = granule.plot(box, width, {
        height: width < 500 ? 300 : 380,
        lines: this.seen,
        read: (x, points) => this.read(x, points),
        x: { name: this.axis.name, show: this.axis.show, log: this.options.logX },
        y: { show: metrics.tick(this.metric), log: this.options.logY, base: this.metric.binary ? 1024 : 10 },
        keyboard: { label: `Reading line over ${this.axis.inText}`, describe: () => this.describe() },
      });
    }

    // Shows what the lines have at the reading line, or nothing when it is gone.
    read(x, points) {
      const points_ = new Map(this.seen.map((line, index) => [line.name, points?.[index]]));
      this.lines.forEach((line, index) => {
        const point = points_.get(line.name);
        this.legend.values[index].textContent = point ? this.metric.show(point.y) : '';
      });
      this.at = x === null ? '' : `${this.axis.one} ${this.axis.show(x)}`;
      this.where.textContent = this.at || 'Point at the curves to read their values.';
    }

    describe() {
      const values = this.lines.map((line, index) => [line.label, this.legend.values[index].textContent]);
      const said = values.filter(([, value]) => value).map(([label, value]) => `${label} ${value}`);
      return `${this.at}. ${this.metric.name}: ${said.join('; ')}.`;
    }

    highlight(name) {
      if (!this.plot || this.seen.length > MOST_HIGHLIGHTED) return;
      const index = this.plot.series.findIndex((series) => name !== null && series.of === name);
      this.plot.setSeries(index > 0 ? index : null, { focus: true });
    }
  }

  granule.curves = (document_) => {
    const drawable = metrics.drawable(document_.runs);
    if (drawable.length === 0) return null;
    const curves = new Curves(document_, drawable);
    const grouped = document_.variants.some((variant) => variant.runs.length > 1);
    const controls = curveOptions.controls(curves.options, { drawable, grouped, update: (change) => curves.update(change) });
    curves.update({});
    curves.figure.box.before(el('p', { class: 'note' }, grouped ? `${MEANS} ${ZOOM}` : ZOOM));
    return granule.section('curves', 'Curves', controls, curves.figure.node);
  };
}
