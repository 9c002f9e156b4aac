// A row for each expert of a layer: its load, its tokens, the classes of its tokens, and documents.

{
  const { el, format, palette } = granule;

  const CLASSES = ['word start', 'word part', 'number', 'punctuation', 'whitespace', 'other'];
  const share = (value) => format.percent(value);

  // SentencePiece marks a space before a word by U+2581. Here it is the open box that stands for a space.
  const visible = (piece) =>
    String(piece)
      .replace(/\u2581| /g, '␣')
      .replace(/\n/g, '⏎')
      .replace(/\t/g, '⇥');

  // The classes that occur, in an order that does not depend on the file.
  const classesOf = (found) => {
    const shares = found.by_layer.flatMap((layer) => layer.experts.flatMap((expert) => Object.entries(expert.classes ?? {})));
    const occurring = new Set(shares.filter(([, part]) => part > 0).map(([name]) => name));
    return [...CLASSES.filter((name) => occurring.delete(name)), ...[...occurring].sort()];
  };

  const patch = (index, name, style) =>
    el('span', { class: `${name} pattern-${index % 6}`, style: `${style}background-color:${palette.style(index).colour}` });

  const stacked = (expert, names) => {
    const parts = names.map((name, index) => ({ name, index, part: expert.classes?.[name] ?? 0 })).filter(({ part }) => part > 0);
    const sentence = parts.length ? parts.map(({ name, part }) => `${name} ${share(part)}`).join(', ') : 'It served no token.';
    const pieces = parts.map(({ index, part }) => patch(index, 'part', `width:${part * 100}%;`));
    return el('div', { class: 'stack', role: 'img', 'aria-label': sentence, title: sentence }, pieces);
  };

  const legend = (names) => {
    const items = names.map((name, index) => el('li', {}, patch(index, 'key', ''), name));
    return el('ul', { class: 'class-legend', 'aria-label': 'Colours of the classes' }, items);
  };

  const token = ({ id, piece, count, lift, share_of_token: part }) => {
    const times = `${format.ratio(lift)} times chance`;
    const sentence = `${format.whole(count)} choices, ${times}, ${share(part)} of the choices of this token`;
    return el(
      'li',
      { title: sentence },
      el('code', {}, piece === null ? `token ${id}` : visible(piece)),
      el('span', { class: 'lift' }, ` ×${format.ratio(lift)}`),
    );
  };

  const documentText = (one) => `${one.name ?? `document ${one.document}`} ×${format.ratio(one.lift)}`;

  const columnsOf = (layer, names) => {
    const all = layer.experts.reduce((sum, expert) => sum + expert.load, 0) || 1;
    const number = (key, name, title, show) => ({ key, name, title, numeric: true, value: (row) => row[key], show });
    const columns = [
      number('expert', 'Expert', 'Number of the expert', (row) => String(row.expert)),
      number('load', 'load', 'Its share of all choices of the layer', (row) => share(row.load / all)),
      number('weight', 'gate', 'Mean gate weight', (row) => format.ratio(row.weight)),
    ];
    const list = (key, name, title, show) => ({ key, name, title, value: (row) => row[key]?.[0]?.lift ?? null, show });
    const tokens = (row) => el('ul', { class: 'chips' }, (row.tokens ?? []).map(token));
    columns.push(list('tokens', 'tokens beyond chance', 'Tokens that it serves most beyond chance', tokens));
    if (names.length > 0) {
      const title = 'Shares of the classes of its tokens';
      const value = (row) => row.classes?.[names[0]] ?? null;
      columns.push({ key: 'classes', name: 'classes', title, value, show: (row) => stacked(row, names) });
    }
    if (layer.experts.some((expert) => expert.documents?.length)) {
      const texts = (row) => el('span', { class: 'documents' }, (row.documents ?? []).map(documentText).join(', '));
      columns.push(list('documents', 'documents beyond chance', 'Documents that it serves most beyond chance', texts));
    }
    return columns;
  };

  // Elements for one layer of a document of `granule eval --by-expert`.
  granule.expertTable = (layer, found) => {
    const names = classesOf(found);
    const table = granule.sortableTable({
      id: 'experts-table',
      caption: `Experts of layer ${layer.layer}`,
      columns: columnsOf(layer, names),
      rows: layer.experts,
      rowKey: (row) => String(row.expert),
      sort: { key: 'load', down: true },
    });
    return names.length > 0 ? [legend(names), table] : [table];
  };
}
