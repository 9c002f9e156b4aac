// Curves of a chosen figure over steps, tokens, FLOPs or hours: a line for each variant, or for each run.

{
  const { el, format, metrics, memory, lines: arithmetic, palette } = granule;

  const HALF_LIVES = [0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];  // of the longest run

  const optionsOf = (document_, drawable) => {
    const main = metrics.of(document_.metric.key);
    const enough = document_.runs.some((run) => metrics.column(run, main).filter(metrics.isKnown).length >= 4);
    const first = drawable.includes(main) && enough ? main.key : drawable.find(({ key }) => key === 'ce')?.key ?? drawable[0].key;
    const kept = memory.get('curves', {});
    return { metric: drawable.some(({ key }) => key === kept.metric) ? kept.metric : first, x: kept.x ?? 'step',
      lines: kept.lines ?? 'band', smooth: kept.smooth ?? 0, logX: kept.logX ?? false, logY: kept.logY ?? false, hidden: kept.hidden ?? [] };
  };

  const lineOf = (run, metric, options, longest) => {
    const columns = run[metric.in] ?? {};
    const place = columns[options.x] ?? [];
    const values = metrics.column(run, metric);
    return { x: place, y: arithmetic.smooth(columns.step ?? [], values, HALF_LIVES[options.smooth] * longest) };
  };

  // All lines, with those that the reader has hidden.
  const linesOf = (document_, metric, options) => {
    const { runs, variants } = document_;
    const longest = Math.max(1, ...runs.map((run) => run.steps ?? run.step ?? 0));
    const made = (run) => lineOf(run, metric, options, longest);
    const drawn = (line) => line.x.length > 0 && line.y.some(metrics.isKnown);
    if (options.lines !== 'runs') {
      return variants.map((variant, index) => {
        const seeds = variant.runs.map((run) => made(runs[run])).filter(drawn);
        if (seeds.length === 0) return null;
        const joined = arithmetic.join(seeds);
        const band = options.lines === 'band' ? {} : { low: null, high: null };
        return { name: variant.name, label: variant.label, style: index, ...joined, ...band };
      }).filter((line) => line);
    }
    return runs.map((run) => ({ name: run.name, label: run.name, style: variants.length > 1 ? run.variant : runs.indexOf(run), ...made(run) })).filter(drawn);
  };

  const legend = (lines, options, changed, highlight) => {
    const values = lines.map(() => el('span', { class: 'value' }));
    const items = lines.map((line, index) => el('button', { type: 'button', 'aria-pressed': String(!options.hidden.includes(line.name)),
      onclick: () => {
        const hidden = new Set(options.hidden);
        if (!hidden.delete(line.name)) hidden.add(line.name);
        changed([...hidden]);
      },
      onpointerenter: () => highlight(line.name), onpointerleave: () => highlight(null),
      onfocus: () => highlight(line.name), onblur: () => highlight(null) },
    palette.swatch(line.style), el('span', { class: 'name' }, granule.breakable(line.label)), values[index]));
    const all = (label, names) => el('button', { type: 'button', class: 'plain', onclick: () => changed(names) }, label);
    const node = el('div', { class: 'legend' },
      el('ul', { role: 'list', 'aria-label': 'Lines. Press one to hide or show it.', tabindex: lines.length > 12 ? 0 : null }, items.map((item) => el('li', {}, item))),
      lines.length > 1 ? el('p', { class: 'legend-all' }, all('Show all', []), all('Hide all', lines.map((line) => line.name))) : null);
    return { node, items, values };
  };

  granule.curves = (document_) => {
    const drawable = metrics.drawable(document_.runs);
    if (drawable.length === 0) return null;
    const options = optionsOf(document_, drawable);
    let plot = null;
    let lines = [];
    let items = null;
    const side = el('div', { class: 'side' });
    const chosen = () => ({ metric: metrics.of(options.metric), axis: metrics.axes.find(({ key }) => key === options.x) ?? metrics.axes[0] });
    const seen = () => lines.filter((line) => !options.hidden.includes(line.name));

    const read = (x, points) => {
      const { metric, axis } = chosen();
      const byName = new Map(seen().map((line, index) => [line.name, points?.[index]]));
      lines.forEach((line, index) => {
        const point = byName.get(line.name);
        items.values[index].textContent = point ? metric.show(point.y) : '';
      });
      figure.at = x === null ? '' : `${axis.name === 'Steps' ? 'Step' : axis.name} ${axis.show(x)}`;
      figure.where.textContent = figure.at || 'Point at the curves to read their values.';
    };
    const describe = () => {
      const { metric } = chosen();
      const said = lines.map((line, index) => [line.label, items.values[index].textContent]).filter(([, value]) => value);
      return `${figure.at}. ${metric.name}: ${said.map(([name, value]) => `${name} ${value}`).join('; ')}.`;
    };
    const highlight = (name) => {
      if (!plot || seen().length > 60) return;
      const index = plot.series.findIndex((series) => series.of === name && name !== null);
      plot.setSeries(index > 0 ? index : null, { focus: true });
    };

    const figure = granule.figure({ title: 'Curves', wide: true, height: 380, level: 'h3',
      draw: (box, width) => {
        const { metric, axis } = chosen();
        box.closest('figure').querySelector('h3').textContent = `${metrics.named(metric)} over ${axis.name === 'FLOPs' ? 'FLOPs' : axis.name.toLowerCase()}`;
        plot?.destroy();
        plot = null;
        if (seen().length === 0) {
          box.append(el('p', { class: 'empty' }, 'All lines are hidden. Press a line in the list to show it.'));
          return;
        }
        plot = granule.plot(box, width, { height: width < 500 ? 300 : 380, lines: seen(), read,
          x: { name: axis.name, show: axis.show, log: options.logX }, y: { show: metrics.tick(metric), log: options.logY, base: metric.binary ? 1024 : 10 },
          keyboard: { label: `Reading line over ${axis.name.toLowerCase()}`, describe } });
      },
      table: () => arithmetic.table(seen(), chosen().axis.name, chosen().metric.show, chosen().axis.show) });
    figure.where = el('p', { class: 'where' });

    const update = (change) => {
      Object.assign(options, change);
      memory.set('curves', options);
      const focused = items?.items.indexOf(document.activeElement) ?? -1;
      const scrolled = side.querySelector('ul')?.scrollTop ?? 0;
      lines = linesOf(document_, chosen().metric, options);
      items = legend(lines, options, (hidden) => update({ hidden }), highlight);
      side.replaceChildren(figure.where, items.node);
      side.querySelector('ul').scrollTop = scrolled;
      items.items[focused]?.focus();
      read(null, null);
      figure.again();
    };

    const choose = (id, label, entries, value, key) => granule.choice({ id, label, options: entries, value, change: (picked) => update({ [key]: picked }) });
    const smoothText = el('output', { for: 'smooth' });
    const tellSmooth = () => {
      smoothText.textContent = options.smooth === 0 ? 'none' : `half-life of ${format.percent(HALF_LIVES[options.smooth])} of the run`;
    };
    const slider = el('input', { type: 'range', id: 'smooth', min: 0, max: HALF_LIVES.length - 1, step: 1, value: options.smooth,
      oninput: () => {
        update({ smooth: Number(slider.value) });
        tellSmooth();
      } });
    tellSmooth();
    const grouped = document_.variants.some((variant) => variant.runs.length > 1);
    const controls = el('div', { class: 'controls' },
      choose('metric', 'Figure', drawable.map((metric) => [metric.key, metrics.named(metric)]), options.metric, 'metric'),
      choose('x', 'Over', metrics.axes.map((axis) => [axis.key, axis.name]), options.x, 'x'),
      grouped ? granule.choice({ id: 'lines', label: 'Lines', value: options.lines,
        options: [['band', 'Mean of the seeds and band'], ['mean', 'Mean of the seeds'], ['runs', 'Every run']],
        change: (lines) => update({ lines, hidden: (lines === 'runs') === (options.lines === 'runs') ? options.hidden : [] }) }) : null,
      el('label', { class: 'control', for: 'smooth' }, el('span', {}, 'Smoothing: ', smoothText), slider),
      el('div', { class: 'control', role: 'group', 'aria-label': 'Logarithmic axes' }, el('span', { 'aria-hidden': 'true' }, 'Logarithmic'),
        el('div', { class: 'checks' },
          granule.check({ id: 'log-x', label: 'x axis', value: options.logX, change: (logX) => update({ logX }) }),
          granule.check({ id: 'log-y', label: 'y axis', value: options.logY, change: (logY) => update({ logY }) }))));
    figure.box.before(el('p', { class: 'note' }, grouped
      ? 'A line is the mean of the seeds that have reached a point. Its band goes from the lowest to the highest seed. Drag across to zoom in, and click twice to zoom out.'
      : 'Drag across to zoom in, and click twice to zoom out.'));
    figure.box.after(side);
    update({});
    return granule.section('curves', 'Curves', controls, figure.node);
  };
}
