// The loss against what it costs: activated parameters, all parameters, and FLOPs.

{
  const { el, format, metrics } = granule;

  const BUDGETS = [
    { key: 'activated', name: 'Activated parameters', of: (run) => run.parameters?.activated, show: format.count },
    { key: 'total', name: 'Parameters in all', of: (run) => run.parameters?.total, show: format.count },
    { key: 'flops', name: 'Training FLOPs', of: (run) => run.flops, show: format.flops },
  ];

  const pointsOf = (document_, budget, metric) =>
    document_.variants
      .map((variant, style) => {
        const x = metrics.mean(variant.runs.map((index) => budget.of(document_.runs[index])));
        const interval = variant.interval ? `, 95 % interval ${variant.interval.map(metric.show).join(' to ')}` : ', no interval';
        return {
          name: variant.label,
          style,
          x,
          y: variant.mean,
          interval: variant.interval,
          sentence: `${variant.label}: ${metric.name} ${metric.show(variant.mean)}${interval}, ${budget.name.toLowerCase().replace('flops', 'FLOPs')} ${budget.show(x)}.`,
        };
      })
      .filter((point) => metrics.isKnown(point.x) && metrics.isKnown(point.y) && point.x > 0);

  const figureOf = (budget, points, metric) =>
    granule.figure({
      title: budget.name,
      height: 320,
      printWidth: 320,
      draw: (box, width, self) =>
        granule.scatter(box, width, {
          points,
          height: 320,
          say: self.say,
          x: {
            name: budget.name,
            show: budget.show,
            log: Math.max(...points.map(({ x }) => x)) > 3 * Math.min(...points.map(({ x }) => x)),
          },
          y: { name: metrics.named(metric), show: format.number },
          label: `${metric.name} against ${budget.name.toLowerCase()}. Arrow keys go from one point to the next.`,
        }),
      table: () => ({
        head: ['Variant', budget.name, metrics.named(metric), 'From', 'To'],
        rows: points.map((point) => [
          point.name,
          budget.show(point.x),
          metric.show(point.y),
          metric.show(point.interval?.[0]),
          metric.show(point.interval?.[1]),
        ]),
      }),
    });

  const legend = (variants) =>
    el(
      'ul',
      { class: 'class-legend', 'aria-label': 'Marks of the variants' },
      variants.map((variant, style) =>
        el(
          'li',
          {},
          granule.svg('svg', { width: 18, height: 14, 'aria-hidden': 'true' }, granule.palette.marker(style, 9, 7, 5)),
          granule.breakable(variant.label),
        ),
      ),
    );

  granule.budgets = (document_) => {
    const metric = metrics.of(document_.metric.key);
    const figures = [];
    const same = [];
    for (const budget of BUDGETS) {
      const points = pointsOf(document_, budget, metric);
      if (points.length < 2) continue;
      const xs = points.map(({ x }) => x);
      if (Math.max(...xs) <= Math.min(...xs) * 1.0001) same.push(`${budget.name}: all variants have ${budget.show(xs[0])}.`);
      else figures.push(figureOf(budget, points, metric).node);
    }
    if (figures.length === 0) return null;
    return granule.section(
      'budgets',
      'Loss against size and cost',
      el(
        'p',
        { class: 'note' },
        'Every mark is the mean of a variant. Its bar is the 95 % interval over seeds, and a hollow mark has none.',
      ),
      same.map((sentence) => el('p', { class: 'note' }, sentence)),
      legend(document_.variants),
      el('div', { class: 'grid three' }, figures),
    );
  };
}
