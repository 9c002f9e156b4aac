// What each expert serves: its tokens, the classes of its tokens, documents, and which experts are chosen together.

{
  const { el, format, metrics, memory, palette } = granule;

  const TOGETHER = 3;
  // SentencePiece marks a space before a word by U+2581. Here it is the open box that stands for a space.
  const visible = (piece) => String(piece).replace(/\u2581| /g, '␣').replace(/\n/g, '⏎').replace(/\t/g, '⇥');
  const share = (value) => format.percent(value);

  // The classes that occur, in an order that does not depend on the file.
  const CLASSES = ['word start', 'word part', 'number', 'punctuation', 'whitespace', 'other'];
  const classesOf = (found) => {
    const occurring = new Set(found.by_layer.flatMap((layer) => layer.experts.flatMap((expert) => Object.entries(expert.classes ?? {})
      .filter(([, part]) => part > 0).map(([name]) => name))));
    return [...CLASSES.filter((name) => occurring.delete(name)), ...[...occurring].sort()];
  };

  const stacked = (expert, names) => {
    const parts = names.map((name, index) => ({ name, index, part: expert.classes?.[name] ?? 0 })).filter(({ part }) => part > 0);
    const sentence = parts.length ? parts.map(({ name, part }) => `${name} ${share(part)}`).join(', ') : 'It served no token.';
    return el('div', { class: 'stack', role: 'img', 'aria-label': sentence, title: sentence },
      parts.map(({ index, part }) => el('span', { class: `pattern-${index % 6}`, style: `width:${part * 100}%;background-color:${palette.style(index).colour}` })));
  };

  const tokens = (expert) => el('ul', { class: 'chips' }, (expert.tokens ?? []).map((token) => {
    const sentence = `${format.whole(token.count)} choices, ${format.ratio(token.lift)} times chance, ${share(token.share_of_token)} of the choices of this token`;
    return el('li', { title: sentence }, el('code', {}, visible(token.piece)), el('span', { class: 'lift' }, ` ×${format.ratio(token.lift)}`));
  }));

  const documents = (expert) => (expert.documents ?? []).map((one) => `${one.name ?? `document ${one.document}`} ×${format.ratio(one.lift)}`).join(', ');

  const expertTable = (layer, found) => {
    const names = classesOf(found);
    const all = layer.experts.reduce((sum, expert) => sum + expert.load, 0) || 1;
    const columns = [
      { key: 'expert', name: 'Expert', numeric: true, value: (row) => row.expert, show: (row) => String(row.expert) },
      { key: 'load', name: 'load', title: 'Its share of all choices of the layer', numeric: true, value: (row) => row.load, show: (row) => share(row.load / all) },
      { key: 'weight', name: 'gate', title: 'Mean gate weight', numeric: true, value: (row) => row.weight, show: (row) => format.ratio(row.weight) },
      { key: 'tokens', name: 'tokens beyond chance', title: 'Tokens that it serves most beyond chance', value: (row) => row.tokens?.[0]?.lift ?? null, show: tokens },
      ...(names.length ? [{ key: 'classes', name: 'classes', title: 'Shares of the classes of its tokens', value: (row) => row.classes?.[names[0]] ?? null, show: (row) => stacked(row, names) }] : []),
      ...(layer.experts.some((expert) => expert.documents?.length) ? [{ key: 'documents', name: 'documents beyond chance', title: 'Documents that it serves most beyond chance',
        value: (row) => row.documents?.[0]?.lift ?? null, show: (row) => el('span', { class: 'documents' }, documents(row)) }] : []),
    ];
    const legend = names.length ? el('ul', { class: 'class-legend', 'aria-label': 'Colours of the classes' }, names.map((name, index) => el('li', {},
      el('span', { class: `key pattern-${index % 6}`, style: `background-color:${palette.style(index).colour}` }), name))) : null;
    return [legend, granule.sortableTable({ id: 'experts-table', caption: `Experts of layer ${layer.layer}`, columns, rows: layer.experts,
      rowKey: (row) => String(row.expert), sort: { key: 'load', down: true } })];
  };

  // How often two experts serve one token, against what their loads alone would give.
  const together = (layer, found) => {
    if (!layer.together?.length) return null;
    const loads = layer.experts.map((expert) => expert.load);
    const times = layer.together.map((line, row) => line.map((both, column) => {
      const chance = (loads[row] * loads[column]) / found.tokens;
      return row === column || !(chance > 0) ? null : both / chance;
    }));
    const names = layer.experts.map((expert) => expert.expert);
    const height = Math.min(520, Math.max(160, names.length * 14));
    const figure = granule.figure({ title: `Experts of layer ${layer.layer} that serve the same tokens`, height: height + 40,
      draw: (box, width, self) => granule.heatMap(box, Math.min(width, height + 140), { values: times, rows: names, columns: names, brightest: TOGETHER,
        rowAxis: 'expert', columnAxis: 'expert', height, say: self.say, label: `How often two experts of layer ${layer.layer} serve the same token.`,
        describe: (row, column) => {
          if (row === column) return `Expert ${names[row]} with itself.`;
          if (times[row][column] === null) return `Experts ${names[row]} and ${names[column]}: one of them serves no token.`;
          return `Experts ${names[row]} and ${names[column]} share ${format.whole(layer.together[row][column])} tokens, ${format.ratio(times[row][column])} times what chance would give.`;
        } }),
      table: () => ({ head: ['Expert', ...names.map((name) => `Expert ${name}`)], rows: layer.together.map((line, row) => [String(names[row]), ...line.map(format.whole)]) }) });
    return [granule.heatLegend(TOGETHER, [[0, 'never'], [1, '1 (chance)'], [2, '2'], [3, '3 or more']], 'Shared tokens / chance'), figure.node];
  };

  granule.experts = (document_) => {
    const runs = document_.runs.filter((run) => run.by_expert?.by_layer?.length);
    if (runs.length === 0) return null;
    const place = el('div');
    const layers = el('div', { class: 'controls' });
    const show = (found, number) => {
      const layer = found.by_layer.find((one) => String(one.layer) === String(number)) ?? found.by_layer[0];
      memory.set('expert-layer', layer.layer);
      place.replaceChildren(...[expertTable(layer, found), together(layer, found)].flat().filter((part) => part));
      return layer;
    };
    const change = (run) => {
      const found = run.by_expert;
      const layer = show(found, memory.get('expert-layer'));
      layers.replaceChildren(el('p', { class: 'note' }, `Measured on ${format.whole(found.tokens)} tokens of the split “${found.split}”, with ${found.experts_per_token} of ${found.experts} experts a token.`));
      if (found.by_layer.length < 2) return;
      layers.prepend(granule.choice({ id: 'expert-layer', label: 'Layer', value: layer.layer, options: found.by_layer.map((one) => [one.layer, `Layer ${one.layer}`]), change: (value) => show(found, value) }));
    };
    const choice = granule.runChoice(document_, { id: 'expert-run', runs, change });
    return granule.section('experts', 'What the experts serve',
      el('p', { class: 'note' }, 'The number after a token says how many times more often the expert serves it than chance would. ␣ stands for a space.'),
      choice ? el('div', { class: 'controls' }, choice) : null, layers, place);
  };
}
