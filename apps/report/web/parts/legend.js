// The names of lines beside their colours. Pressing one hides it or shows it again.

{
  const { el, palette } = granule;

  const item = (line, hidden, value, { changed, highlight }) =>
    el(
      'button',
      {
        type: 'button',
        'aria-pressed': String(!hidden.includes(line.name)),
        onclick: () => changed(hidden.includes(line.name) ? hidden.filter((name) => name !== line.name) : [...hidden, line.name]),
        onpointerenter: () => highlight(line.name),
        onpointerleave: () => highlight(null),
        onfocus: () => highlight(line.name),
        onblur: () => highlight(null),
      },
      palette.swatch(line.style),
      el('span', { class: 'name' }, granule.breakable(line.label)),
      value,
    );

  const forAll = (lines, changed) => {
    const button = (label, hidden) => el('button', { type: 'button', class: 'plain', onclick: () => changed(hidden) }, label);
    const names = lines.map((line) => line.name);
    return el('p', { class: 'legend-all' }, button('Show all', []), button('Hide all', names));
  };

  // hidden: the names of lines that are not shown. changed(hidden) is told the new ones, and highlight(name) which line the
  // reader looks at, or null. `values` are elements for what the lines have at the reading line.
  granule.legend = (lines, hidden, told) => {
    const values = lines.map(() => el('span', { class: 'value' }));
    const items = lines.map((line, index) => item(line, hidden, values[index], told));
    const list = el(
      'ul',
      { role: 'list', 'aria-label': 'Lines. Press one to hide or show it.', tabindex: lines.length > 12 ? 0 : null },
      items.map((button) => el('li', {}, button)),
    );
    return {
      list,
      node: el('div', { class: 'legend' }, list, lines.length > 1 ? forAll(lines, told.changed) : null),
      items,
      values,
    };
  };
}
