// The figures of a run: their names, how they are written, and where in the document they are.

{
  const { format } = granule;

  // `in` names the columns of a run that have the figure. `lower` says that less is better, and only then.
  const METRICS = [
    { key: 'val_ce', name: 'Validation cross-entropy', short: 'val CE', unit: 'nats', in: 'validation', show: format.loss },
    { key: 'ce', name: 'Training cross-entropy', short: 'CE', unit: 'nats', in: 'series', show: format.loss },
    { key: 'val_perplexity', name: 'Validation perplexity', short: 'val perplexity', in: 'validation', show: format.figure },
    { key: 'val_bits_per_byte', name: 'Validation bits per byte', short: 'val bits/byte', in: 'validation', show: format.loss },
    { key: 'aux', name: 'Balance loss (1 is balanced)', short: 'balance loss', in: 'series', show: format.figure },
    {
      key: 'load_max_over_mean',
      name: 'Largest load of an expert / mean load',
      short: 'load max/mean',
      in: 'series',
      show: format.ratio,
    },
    { key: 'load_cv', name: 'Coefficient of variation of the load', short: 'load CV', in: 'series', show: format.ratio },
    { key: 'dead_experts', name: 'Dead experts', short: 'dead experts', in: 'series', show: format.number },
    { key: 'router_entropy', name: 'Router entropy', short: 'router entropy', unit: 'nats', in: 'series', show: format.ratio },
    {
      key: 'balance_over_ce',
      name: 'Balance gradient / cross-entropy gradient',
      short: 'balance/CE',
      in: 'series',
      show: format.ratio,
    },
    { key: 'lr', name: 'Learning rate', short: 'learning rate', in: 'series', show: format.ratio },
    { key: 'grad_norm', name: 'Gradient norm', short: 'gradient norm', in: 'series', show: format.ratio },
    { key: 'tokens_per_second', name: 'Tokens per second', short: 'tokens/s', in: 'series', show: format.count },
    { key: 'mfu', name: 'Model FLOPs utilisation', short: 'MFU', in: 'series', show: format.percent },
    { key: 'peak_bytes', name: 'Peak tensor memory', short: 'peak memory', in: 'series', show: format.bytes, binary: true },
    { key: 'dropped', name: 'Choices refused by a capacity', short: 'refused choices', in: 'series', show: format.number },
    { key: 'skips', name: 'Skipped steps', short: 'skipped steps', in: 'final', show: format.whole },
  ];

  const AXES = [
    { key: 'step', name: 'Steps', one: 'Step', inText: 'steps', show: format.whole },
    { key: 'tokens', name: 'Tokens', one: 'Tokens', inText: 'tokens', show: format.count },
    { key: 'flops', name: 'FLOPs', one: 'FLOPs', inText: 'FLOPs', show: format.flops },
    { key: 'hours', name: 'Hours', one: 'Hours', inText: 'hours', show: format.hours },
  ];

  // Along an axis a loss needs fewer digits than in a table.
  const tick = (metric) => (metric.show === format.loss ? format.number : metric.show);
  const named = (metric) => (metric.unit ? `${metric.name} (${metric.unit})` : metric.name);
  const column = (run, metric) => run[metric.in]?.[metric.key] ?? [];
  const isKnown = (value) => value !== null && value !== undefined;

  granule.metrics = {
    all: METRICS,
    axes: AXES,
    named,
    tick,
    column,
    isKnown,
    of: (key) => METRICS.find((metric) => metric.key === key),
    // The figures that some run has. One that was measured once is a point.
    drawable: (runs) =>
      METRICS.filter((metric) => metric.in !== 'final' && runs.some((run) => column(run, metric).some(isKnown))),
    mean: (values) => {
      const known = values.filter(isKnown);
      return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    },
  };
}
