// How the tokens of one run spread over its experts: a map for each layer, the last steps, and the figures beside them.

{
  const { el, format, metrics, memory } = granule;

  const BRIGHTEST = 3;
  const MARKS = [
    [0, '0'],
    [1, '1 (even share)'],
    [2, '2'],
    [3, '3 or more'],
  ];
  const CURVES = ['load_max_over_mean', 'dead_experts', 'router_entropy', 'balance_over_ce', 'tokens_per_second', 'peak_bytes'];

  const count = (from, size) => Array.from({ length: size }, (_, index) => from + index);
  const times = (value) => (metrics.isKnown(value) ? `${format.ratio(value)} times the even share` : 'no value');

  // Round steps and where they are. A column is a bin that ends at its step, and bins may differ in length.
  const stepMarks = (steps) => (most) => {
    const ticks = granule.ticks(0, steps[steps.length - 1], { count: Math.max(2, most) });
    const texts = granule.tickTexts(ticks, format.count);
    return ticks.map((tick, index) => {
      const bin = Math.max(
        0,
        steps.findIndex((step) => step >= tick),
      );
      const before = bin === 0 ? 0 : steps[bin - 1];
      return [(bin + (tick - before) / (steps[bin] - before)) / steps.length, texts[index]];
    });
  };

  const layerMap = (load, layer) => {
    const bins = load.share[layer];
    const values = count(0, load.experts).map((expert) => bins.map((bin) => bin[expert]));
    const first = (bin) => (bin === 0 ? 1 : load.steps[bin - 1] + 1);
    const stepsOf = (bin) =>
      first(bin) >= load.steps[bin]
        ? `step ${format.whole(load.steps[bin])}`
        : `steps ${format.whole(first(bin))} to ${format.whole(load.steps[bin])}`;
    const height = Math.min(360, Math.max(120, load.experts * 6));
    return granule.figure({
      title: `Layer ${load.layers[layer]}`,
      height: height + 40,
      printWidth: 320,
      draw: (box, width, self) =>
        granule.heatMap(box, width, {
          values,
          rows: count(0, load.experts),
          columns: load.steps,
          columnMarks: stepMarks(load.steps),
          brightest: BRIGHTEST,
          rowAxis: 'expert',
          columnAxis: 'step',
          height,
          say: self.say,
          label: `Load of the experts of layer ${load.layers[layer]} over the steps.`,
          describe: (row, column) => `Expert ${row}, ${stepsOf(column)}: ${times(values[row][column])}.`,
        }),
      table: () => ({
        head: ['Steps', ...count(0, load.experts).map((expert) => `Expert ${expert}`)],
        rows: bins.map((bin, index) => [stepsOf(index), ...bin.map((value) => format.ratio(value))]),
      }),
    });
  };

  const lastMap = (load) => {
    const values = load.layers.map((_, layer) => load.share[layer][load.share[layer].length - 1]);
    const height = Math.max(60, load.layers.length * 22);
    return granule.figure({
      title: `All layers at step ${format.whole(load.steps[load.steps.length - 1])}`,
      height: height + 40,
      draw: (box, width, self) =>
        granule.heatMap(box, width, {
          values,
          rows: load.layers,
          columns: count(0, load.experts),
          brightest: BRIGHTEST,
          rowAxis: 'layer',
          columnAxis: 'expert',
          height,
          say: self.say,
          label: 'Load of the experts of all layers in the last steps.',
          describe: (row, column) => `Layer ${load.layers[row]}, expert ${column}: ${times(values[row][column])}.`,
        }),
      table: () => ({
        head: ['Layer', ...count(0, load.experts).map((expert) => `Expert ${expert}`)],
        rows: values.map((line, layer) => [String(load.layers[layer]), ...line.map((value) => format.ratio(value))]),
      }),
    });
  };

  const smallCurve = (run, metric) => {
    const line = { label: metric.name, style: 0, x: run.series.step, y: metrics.column(run, metric), low: null, high: null };
    return granule.figure({
      title: metric.name,
      height: 150,
      printWidth: 210,
      draw: (box, width, self) => {
        let said = '';
        granule.plot(box, width, {
          height: 150,
          small: true,
          lines: [line],
          x: { show: format.count },
          y: { show: metrics.tick(metric), base: metric.binary ? 1024 : 10 },
          read: (x, points) => {
            said = points?.[0] ? `Step ${format.whole(points[0].x)}: ${metric.show(points[0].y)}` : '';
            self.say(said);
          },
          keyboard: { label: `Reading line of ${metric.name}`, describe: () => said },
        });
      },
      table: () => granule.lines.table([line], 'Step', metric.show, format.whole),
    });
  };

  const picturesOf = (run) => {
    const curves = CURVES.map(metrics.of).filter((metric) => metrics.column(run, metric).filter(metrics.isKnown).length > 1);
    const load = run.load?.share?.length && run.load.steps?.length ? run.load : null;
    return [
      load ? granule.heatLegend(BRIGHTEST, MARKS, 'Load / mean load') : null,
      load
        ? el(
            'div',
            { class: 'grid two' },
            load.layers.map((_, layer) => layerMap(load, layer).node),
          )
        : null,
      load && load.layers.length > 1 ? lastMap(load).node : null,
      curves.length ? el('p', { class: 'note over' }, 'These figures of the run are over its steps.') : null,
      el(
        'div',
        { class: 'grid three small' },
        curves.map((metric) => smallCurve(run, metric).node),
      ),
    ];
  };

  // A select of runs, grouped by variant. change(run) is told the chosen one, also at first.
  granule.runChoice = (document_, { id, runs, change }) => {
    const kept = runs.find((run) => run.path === memory.get(id));
    const options = document_.variants
      .map((variant, index) => [
        variant.label,
        runs.filter((run) => run.variant === index).map((run) => [document_.runs.indexOf(run), run.name]),
      ])
      .filter(([, inside]) => inside.length > 0);
    const chosen = kept ?? runs[0];
    change(chosen);
    if (runs.length < 2) return null;
    return granule.choice({
      id,
      label: 'Run',
      value: document_.runs.indexOf(chosen),
      options,
      change: (value) => {
        memory.set(id, document_.runs[Number(value)].path);
        change(document_.runs[Number(value)]);
      },
    });
  };

  granule.load = (document_) => {
    const runs = document_.runs.filter((run) => run.load?.share?.length && run.load.steps?.length);
    const others = document_.runs.length === 1 && metrics.drawable(document_.runs).length > 0 ? document_.runs : [];
    const shown = runs.length > 0 ? runs : others;
    if (shown.length === 0) return null;
    const place = el('div');
    const choice = granule.runChoice(document_, {
      id: 'load-run',
      runs: shown,
      change: (run) => place.replaceChildren(...picturesOf(run).filter((part) => part)),
    });
    return granule.section(
      'load',
      runs.length > 0 ? 'Load of the experts' : 'Speed and memory',
      runs.length > 0
        ? el(
            'p',
            { class: 'note' },
            'A map shows how often each expert was chosen, divided by the mean of its layer. With an even load, all of it has the colour of 1.',
          )
        : null,
      choice ? el('div', { class: 'controls' }, choice) : null,
      place,
    );
  };
}
