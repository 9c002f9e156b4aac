// Paired differences: every variant against a baseline that the reader chooses, over the seeds that both have.

{
  const { el, format, metrics, memory } = granule;

  const MANY = 15; // more rows scroll in their place

  const figuresOf = (difference) => {
    if (!metrics.isKnown(difference.mean)) return 'no seed in both';
    if (!difference.interval) return `${format.signed(difference.mean)} (n = ${difference.n})`;
    return `${format.signed(difference.mean)} [${difference.interval.map(format.signed).join(', ')}]`;
  };

  // The variants but the baseline, those with the lowest values first.
  const rowsOf = (document_, baseline) => {
    const rows = document_.comparisons[baseline]
      .map((difference, style) => ({ difference, style }))
      .filter((row) => row.difference);
    const by = ({ difference }) => difference.mean ?? Infinity;
    return rows
      .sort((left, right) => by(left) - by(right))
      .map(({ difference, style }) => ({
        ...difference,
        style,
        mean: difference.mean ?? null,
        name: document_.variants[style].label,
        figures: figuresOf(difference),
      }));
  };

  const tableOf = (rows) => ({
    head: ['Variant', 'Seeds', 'Difference', 'From', 'To', 'p', 'Test'],
    rows: rows.map(({ name, n, mean, interval, p, test }) => {
      const bounds = [0, 1].map((end) => format.signed(interval?.[end]));
      return [name, format.whole(n), format.signed(mean), ...bounds, format.ratio(p), test ?? format.NONE];
    }),
  });

  const noteOf = (metric) =>
    `Each mark is a variant minus the baseline, in ${metric.unit || 'its unit'}. Left of the line at zero, the variant has the ` +
    'lower value. The bar is the 95 % interval. A hollow mark has none.';

  class Differences {
    constructor(document_) {
      this.document = document_;
      const many = document_.variants.length > MANY;
      this.sentences = el('ul', {
        id: 'difference-sentences',
        class: 'sentences',
        'aria-live': 'polite',
        tabindex: many ? 0 : null,
      });
      this.figure = granule.figure({
        title: `Difference of the ${document_.metric.name}`,
        note: noteOf(document_.metric),
        height: 60 + 30 * document_.variants.length,
        draw: (box, width, { say }) => this.draw(box, width, say),
        table: () => tableOf(this.rows),
      });
      this.node = el('div', { class: many ? 'tall' : null }, this.figure.node, this.sentences);
      this.choose(
        Math.max(
          0,
          document_.variants.findIndex((variant) => variant.name === memory.get('baseline')),
        ),
      );
    }

    draw(box, width, say) {
      const { label } = this.document.variants[this.baseline];
      const text = { axis: `difference from ${label}`, label: `Differences from ${label}. Arrow keys go from one to the next.` };
      granule.forest(box, width, { rows: this.rows, say, ...text });
    }

    choose(baseline) {
      this.baseline = baseline;
      memory.set('baseline', this.document.variants[baseline].name);
      this.rows = rowsOf(this.document, baseline);
      const sentence = (row) => el('li', {}, el('strong', {}, granule.breakable(row.name)), `: ${row.sentence}`);
      this.sentences.replaceChildren(...this.rows.map(sentence));
      this.figure.again();
    }
  }

  granule.differences = (document_) => {
    const { variants, comparisons } = document_;
    if (variants.length < 2 || !comparisons?.length) return null;
    const differences = new Differences(document_);
    const choice = granule.choice({
      id: 'baseline',
      label: 'Baseline',
      value: differences.baseline,
      options: variants.map((variant, index) => [index, variant.label]),
      change: (value) => differences.choose(Number(value)),
    });
    const controls = el('div', { class: 'controls' }, choice);
    return granule.section('differences', 'Differences from a baseline', controls, differences.node);
  };
}
