// What the reader chooses for the curves: the figure, the axes, the lines and how smooth they are.

{
  const { el, format, metrics, memory } = granule;

  const HALF_LIVES = [0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]; // parts of the longest run

  const LINES = [
    ['band', 'Mean of the seeds and band'],
    ['mean', 'Mean of the seeds'],
    ['runs', 'Every run'],
  ];

  // Lines of failed runs are hidden at first. Their values may have diverged, and would set the axes for all others.
  const failed = ({ runs, variants }) => {
    const has = (index) => runs[index].state === 'failed';
    const names = [
      ...runs.filter(({ state }) => state === 'failed').map(({ path }) => path),
      ...variants.filter((variant) => variant.runs.every(has)).map(({ name }) => name),
    ];
    return runs.every(({ state }) => state === 'failed') ? [] : names;
  };

  // The options of the last time, or else the figure that the report compares, if it was measured often enough.
  const start = (document_, drawable) => {
    const main = metrics.of(document_.metric.key);
    const often = document_.runs.some((run) => metrics.column(run, main).filter(metrics.isKnown).length >= 4);
    const first = drawable.includes(main) && often ? main : (drawable.find(({ key }) => key === 'ce') ?? drawable[0]);
    const kept = memory.get('curves', {});
    return {
      x: 'step',
      lines: 'band',
      smooth: 0,
      logX: false,
      logY: false,
      hidden: failed(document_),
      ...kept,
      metric: drawable.some(({ key }) => key === kept.metric) ? kept.metric : first.key,
    };
  };

  const smoothing = (options, update) => {
    const text = el('output', { for: 'smooth' });
    const tell = () => {
      text.textContent = options.smooth === 0 ? 'none' : `half-life of ${format.percent(HALF_LIVES[options.smooth])} of the run`;
    };
    const slider = el('input', {
      type: 'range',
      id: 'smooth',
      min: 0,
      max: HALF_LIVES.length - 1,
      step: 1,
      value: options.smooth,
    });
    slider.addEventListener('input', () => {
      update({ smooth: Number(slider.value) });
      tell();
    });
    tell();
    return el('label', { class: 'control', for: 'smooth' }, el('span', {}, 'Smoothing: ', text), slider);
  };

  const logarithms = (options, update) => {
    const axis = (id, label, key) =>
      granule.check({ id, label, value: options[key], change: (value) => update({ [key]: value }) });
    return el(
      'div',
      { class: 'control', role: 'group', 'aria-label': 'Logarithmic axes' },
      el('span', { 'aria-hidden': 'true' }, 'Logarithmic'),
      el('div', { class: 'checks' }, axis('log-x', 'x axis', 'logX'), axis('log-y', 'y axis', 'logY')),
    );
  };

  // Runs and variants have different names, so what is hidden of the one says nothing about the other.
  const linesChange = (options, lines) => {
    const same = (lines === 'runs') === (options.lines === 'runs');
    return { lines, hidden: same ? options.hidden : [] };
  };

  granule.curveOptions = {
    start,
    halfLife: (options) => HALF_LIVES[options.smooth] ?? 0,
    controls: (options, { drawable, grouped, update }) => {
      const choose = (id, label, entries, key) =>
        granule.choice({ id, label, options: entries, value: options[key], change: (value) => update({ [key]: value }) });
      const figures = drawable.map((metric) => [metric.key, metrics.named(metric)]);
      const axes = metrics.axes.map((axis) => [axis.key, axis.name]);
      const lines = { id: 'lines', label: 'Lines', options: LINES, value: options.lines };
      return el(
        'div',
        { class: 'controls' },
        choose('metric', 'Figure', figures, 'metric'),
        choose('x', 'Over', axes, 'x'),
        grouped ? granule.choice({ ...lines, change: (value) => update(linesChange(options, value)) }) : null,
        smoothing(options, update),
        logarithms(options, update),
      );
    },
  };
}
