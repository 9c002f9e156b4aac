// What each expert serves, and which experts serve the same tokens: for a chosen run and layer.

{
  const { el, format, memory } = granule;

  const BRIGHTEST = 3;
  const MARKS = [
    [0, 'never'],
    [1, '1 (chance)'],
    [2, '2'],
    [3, '3 or more'],
  ];

  // How often two experts serve one token, divided by what their loads alone would give.
  const timesChance = (layer, found) =>
    layer.together.map((line, row) =>
      line.map((both, column) => {
        const chance = (layer.experts[row].load * layer.experts[column].load) / found.tokens;
        return row === column || !(chance > 0) ? null : both / chance;
      }),
    );

  const pairText = (layer, times, names) => (row, column) => {
    if (row === column) return `Expert ${names[row]} with itself.`;
    const pair = `Experts ${names[row]} and ${names[column]}`;
    if (times[row][column] === null) return `${pair}: one of them serves no token.`;
    const tokens = `${format.whole(layer.together[row][column])} tokens`;
    return `${pair} share ${tokens}, ${format.ratio(times[row][column])} times what chance would give.`;
  };

  const pairs = (layer, found) => {
    if (!layer.together?.length) return [];
    const times = timesChance(layer, found);
    const names = layer.experts.map((expert) => expert.expert);
    const height = Math.min(520, Math.max(160, names.length * 14));
    const label = `How often two experts of layer ${layer.layer} serve the same token.`;
    const map = {
      values: times,
      rows: names,
      columns: names,
      rowAxis: 'expert',
      columnAxis: 'expert',
      brightest: BRIGHTEST,
      height,
      label,
    };
    const figure = granule.figure({
      title: `Experts of layer ${layer.layer} that serve the same tokens`,
      height: height + 40,
      draw: (box, width, { say }) => granule.heatMap(box, width, { ...map, say, describe: pairText(layer, times, names) }),
      table: () => ({
        head: ['Expert', ...names.map((name) => `Expert ${name}`)],
        rows: layer.together.map((line, row) => [String(names[row]), ...line.map(format.whole)]),
      }),
    });
    return [granule.heatLegend(BRIGHTEST, MARKS, 'Shared tokens / chance'), figure.node];
  };

  const measured = (found) => {
    const masked =
      found.masked_experts > 0
        ? ` The ${format.plural(found.masked_experts, 'expert')} that a token likes best were masked.`
        : '';
    const experts = `${found.experts_per_token} of ${found.experts} experts a token`;
    return `Measured on ${format.whole(found.tokens)} tokens of the split “${found.split}”, with ${experts}.${masked}`;
  };

  const layerChoice = (found, layer, change) =>
    granule.choice({
      id: 'expert-layer',
      label: 'Layer',
      value: layer.layer,
      options: found.by_layer.map((one) => [one.layer, `Layer ${one.layer}`]),
      change,
    });

  granule.experts = (document_) => {
    const runs = document_.runs.filter((run) => run.by_expert?.by_layer?.length);
    if (runs.length === 0) return null;
    const place = el('div');
    const layers = el('div', { class: 'controls' });
    const show = (found, number) => {
      const layer = found.by_layer.find((one) => String(one.layer) === String(number)) ?? found.by_layer[0];
      memory.set('expert-layer', layer.layer);
      place.replaceChildren(...granule.expertTable(layer, found), ...pairs(layer, found));
      return layer;
    };
    const change = ({ by_expert: found }) => {
      const layer = show(found, memory.get('expert-layer'));
      layers.replaceChildren(el('p', { class: 'note' }, measured(found)));
      if (found.by_layer.length > 1) layers.prepend(layerChoice(found, layer, (value) => show(found, value)));
    };
    const choice = granule.runChoice(document_, { id: 'expert-run', runs, change });
    const note =
      'The number after a token says how many times more often the expert serves it than chance would. ␣ stands for a space.';
    return granule.section(
      'experts',
      'What the experts serve',
      el('p', { class: 'note' }, note),
      choice ? el('div', { class: 'controls' }, choice) : null,
      layers,
      place,
    );
  };
}
