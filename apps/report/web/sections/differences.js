// Paired differences: every variant against a baseline that the reader chooses, over the seeds that both have.

{
  const { el, format, metrics, memory } = granule;

  const MANY = 15;  // more rows scroll in their place

  const figuresOf = (difference) => {
    if (!metrics.isKnown(difference.mean)) return 'no seed in both';
    if (!difference.interval) return `${format.signed(difference.mean)} (n = ${difference.n})`;
    return `${format.signed(difference.mean)} [${difference.interval.map(format.signed).join(', ')}]`;
  };

  const rowsOf = (document_, baseline) => document_.comparisons[baseline]
    .map((difference, index) => difference && { difference, style: index, name: document_.variants[index].label,
      mean: difference.mean ?? null, interval: difference.interval, figures: figuresOf(difference), sentence: difference.sentence })
    .filter((row) => row)
    .sort((left, right) => (left.mean ?? Infinity) - (right.mean ?? Infinity));

  granule.differences = (document_) => {
    if (document_.variants.length < 2 || !document_.comparisons?.length) return null;
    const { variants, metric } = document_;
    const start = variants.findIndex((variant) => variant.name === memory.get('baseline'));
    let baseline = Math.max(0, start);
    let rows = rowsOf(document_, baseline);
    const sentences = el('ul', { id: 'difference-sentences', class: 'sentences', 'aria-live': 'polite', tabindex: rows.length > MANY ? 0 : null });

    const figure = granule.figure({
      title: `Difference of the ${metric.name}`, wide: true, height: 60 + 30 * rows.length,
      note: `Each mark is a variant minus the baseline, in ${metric.unit || 'its unit'}. Left of the line at zero, the variant has the lower value. The bar is the 95 % interval. A hollow mark has none.`,
      draw: (box, width, self) => granule.forest(box, width, { rows, axis: `difference from ${variants[baseline].label}`,
        label: `Differences from ${variants[baseline].label}. Arrow keys go from one to the next.`, say: self.say }),
      table: () => ({ head: ['Variant', 'Seeds', 'Difference', 'From', 'To', 'p', 'Test'],
        rows: rows.map(({ name, difference }) => [name, format.whole(difference.n), format.signed(difference.mean),
          format.signed(difference.interval?.[0]), format.signed(difference.interval?.[1]), format.ratio(difference.p), difference.test ?? format.NONE]) }),
    });

    const tell = () => sentences.replaceChildren(...rows.map((row) => el('li', {}, el('strong', {}, granule.breakable(row.name)), `: ${row.sentence}`)));
    const choice = granule.choice({ id: 'baseline', label: 'Baseline', value: baseline,
      options: variants.map((variant, index) => [index, variant.label]),
      change: (value) => {
        baseline = Number(value);
        memory.set('baseline', variants[baseline].name);
        rows = rowsOf(document_, baseline);
        tell();
        figure.again();
      } });
    tell();
    return granule.section('differences', 'Differences from a baseline', el('div', { class: 'controls' }, choice),
      el('div', { class: rows.length > MANY ? 'tall' : null }, figure.node, sentences));
  };
}
