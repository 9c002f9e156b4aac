// The comparison: one row for each variant, which opens into its runs, or one row for each run.

{
  const { el, format, metrics, memory } = granule;

  const keyName = (key, keys) => {
    const last = key.split('.').pop();
    return keys.filter((other) => other.split('.').pop() === last).length > 1 ? key : last;
  };

  const PRINTED = ['ce', 'load_max_over_mean', 'dead_experts', 'tokens_per_second', 'peak_bytes'];

  // What the table can show of a run. A variant shows the mean of its runs.
  const numbersOf = (document_) =>
    [
      ...metrics.all
        .filter(({ key }) => key !== 'lr' && key !== 'grad_norm')
        .map((metric) => ({
          key: `final ${metric.key}`,
          name: metric.short,
          title: `${metrics.named(metric)}, at the end`,
          of: (run) => run.final?.[metric.key],
          show: metric.show,
          minor: !PRINTED.includes(metric.key) && metric.key !== document_.metric.key,
          metric,
        })),
      { key: 'total', name: 'parameters', title: 'Parameters in all', of: (run) => run.parameters?.total, show: format.count },
      {
        key: 'activated',
        name: 'activated',
        title: 'Parameters that a token activates',
        of: (run) => run.parameters?.activated,
        show: format.count,
      },
      {
        key: 'tokens',
        name: 'tokens',
        title: 'Tokens trained on so far',
        of: (run) => run.tokens,
        show: format.count,
        minor: true,
      },
      {
        key: 'flops',
        name: 'FLOPs',
        title: 'Floating-point operations of the training so far',
        of: (run) => run.flops,
        show: format.flops,
      },
      { key: 'hours', name: 'time', title: 'Time of the steps so far', of: (run) => run.hours, show: format.hours, minor: true },
    ]
      .filter((column) => document_.runs.some((run) => metrics.isKnown(column.of(run))))
      .filter(
        (column) => !['final dropped', 'final skips'].includes(column.key) || document_.runs.some((run) => column.of(run) > 0),
      );

  // Rows are {run} or {variant, runs}. Both give the same columns. Inside of its variant, a run is named by its seed.
  const runsOf = (row) => (row.run ? [row.run] : row.runs);
  // An unfinished run does not count beside complete ones.
  const counted = (row) => {
    const complete = runsOf(row).filter((run) => run.state === 'complete');
    return complete.length > 0 ? complete : runsOf(row);
  };

  const nameOf = (row) => {
    if (!row.run) return row.variant.label;
    return row.inside && metrics.isKnown(row.run.seed) ? `seed ${row.run.seed}` : row.run.name;
  };

  const interval = (variant, metric) => {
    const half = variant.interval ? (variant.interval[1] - variant.interval[0]) / 2 : null;
    return half === null ? metric.show(variant.mean) : `${metric.show(variant.mean)} ± ${metric.show(half)}`;
  };

  const numberColumn = (document_, column) => {
    const isMain = column.metric?.key === document_.metric.key;
    const value = (row) =>
      isMain && row.variant && metrics.isKnown(row.variant.mean) ? row.variant.mean : metrics.mean(counted(row).map(column.of));
    return {
      ...column,
      numeric: true,
      value,
      show: (row) =>
        isMain && row.variant && metrics.isKnown(row.variant.mean)
          ? interval(row.variant, column.metric)
          : column.show(value(row)),
    };
  };

  // The figure that the report compares stands beside the keys that differ, where it is seen first.
  const columnsOf = (document_, byRun) => {
    const numbers = numbersOf(document_).map((column) => numberColumn(document_, column));
    return [
      {
        key: 'name',
        name: byRun ? 'Run' : 'Variant',
        title: 'Name',
        value: nameOf,
        show: (row) => el('span', { class: 'name', title: row.run?.path }, granule.breakable(nameOf(row))),
      },
      ...document_.keys.map((key) => ({
        key,
        name: keyName(key, document_.keys),
        title: `Config key ${key}`,
        numeric: document_.runs.every((run) => typeof (run.config?.[key] ?? 0) === 'number'),
        value: (row) => {
          const value = runsOf(row)[0]?.config?.[key];
          return typeof value === 'number' ? value : value === undefined || value === null ? null : format.value(value);
        },
        show: (row) => {
          const values = [...new Set(runsOf(row).map((run) => format.value(run.config?.[key])))];
          return values.length > 1 ? 'several' : (values[0] ?? format.NONE);
        },
      })),
      ...numbers.filter((column) => column.metric?.key === document_.metric.key),
      {
        key: 'seeds',
        name: byRun ? 'seed' : 'seeds',
        title: byRun ? 'Seed of the run' : 'Seeds that count',
        numeric: true,
        value: (row) => (row.run ? row.run.seed : row.variant.n),
        show: (row) => format.whole(row.run ? row.run.seed : row.variant.n),
      },
      ...(document_.runs.every((run) => run.state === 'complete')
        ? []
        : [
            {
              key: 'state',
              name: 'state',
              title: 'State, and the steps that are done',
              value: (row) => stateText(runsOf(row)),
              show: (row) => stateText(runsOf(row)),
            },
          ]),
      ...numbers.filter((column) => column.metric?.key !== document_.metric.key),
    ];
  };

  const stateText = (runs) => {
    const unfinished = runs.filter((run) => run.state !== 'complete');
    if (unfinished.length === 0) return 'complete';
    if (runs.length > 1) return `${runs.length - unfinished.length} of ${runs.length} complete`;
    const [run] = unfinished;
    return run.steps && run.step > 0 ? `${run.state}, step ${format.whole(run.step)} of ${format.whole(run.steps)}` : run.state;
  };

  const table = (document_, byRun) => {
    const { runs, variants } = document_;
    const variantRows = variants.map((variant) => ({ variant, runs: variant.runs.map((index) => runs[index]) }));
    const main = `final ${document_.metric.key}`;
    const columns = columnsOf(document_, byRun);
    return granule.sortableTable({
      id: 'results-table',
      caption: byRun ? 'Runs and their figures' : 'Variants and their figures',
      columns,
      rows: byRun ? runs.map((run) => ({ run })) : variantRows,
      children: (row) => (row.variant && row.runs.length > 1 ? row.runs.map((run) => ({ run, inside: true })) : []),
      rowKey: (row) => row.run?.name ?? row.variant.label,
      sort: { key: columns.some(({ key }) => key === main) ? main : 'name', down: false },
    });
  };

  // One run needs no comparison: its figures are a list.
  const facts = (document_) => {
    const row = { run: document_.runs[0] };
    const state = ['state', 'State', stateText([row.run])];
    const rows = [
      state,
      ...numbersOf(document_).map((column) => [
        column.key,
        column.title.replace(', at the end', ''),
        column.show(column.of(row.run)),
      ]),
    ];
    return el(
      'dl',
      { id: 'facts' },
      rows.map(([, name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
    );
  };

  granule.results = (document_) => {
    if (document_.runs.length === 0) return granule.section('results', 'Results', el('p', {}, 'There is no run to report yet.'));
    if (document_.runs.length === 1) return granule.section('results', 'The run in numbers', facts(document_));
    const grouped = document_.variants.length < document_.runs.length;
    const place = el('div');
    const fill = () => place.replaceChildren(table(document_, !grouped || memory.get('rows', 'variants') === 'runs'));
    const choice = grouped
      ? granule.choice({
          id: 'rows',
          label: 'Rows',
          value: memory.get('rows', 'variants'),
          options: [
            ['variants', 'Variants'],
            ['runs', 'Runs'],
          ],
          change: (value) => {
            memory.set('rows', value);
            fill();
          },
        })
      : null;
    fill();
    const name = metrics.of(document_.metric.key)?.short ?? document_.metric.name;
    return granule.section(
      'results',
      'Comparison',
      el(
        'p',
        { class: 'note' },
        grouped
          ? `A variant shows the mean of its seeds, of which only complete runs count once there is one. The ± after ${name} is the 95 % interval of that mean. A click on a heading sorts the rows.`
          : 'A click on a heading sorts the rows.',
      ),
      choice ? el('div', { class: 'controls' }, choice) : null,
      place,
    );
  };
}
