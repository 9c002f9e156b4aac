// A table that is sorted by a click on a heading, or by Enter or the space bar there. Rows may open into further rows.

{
  const { memory } = granule;

  // What is not known comes last in both directions.
  const compare = (left, right, sign) => {
    const leftKnown = left !== null && left !== undefined;
    const rightKnown = right !== null && right !== undefined;
    if (!leftKnown || !rightKnown) return Number(rightKnown) - Number(leftKnown);
    if (typeof left === 'number' && typeof right === 'number') return sign * (left - right);
    return sign * String(left).localeCompare(String(right), 'en', { numeric: true });
  };

  // A column is {key, name, title, numeric, value(row), show(row)}: what it sorts by, and the text or element of a cell.
  // A row is any object. children(row) are the rows into which it opens, and rowKey(row) names it.
  granule.sortableTable = ({ id, caption, columns, rows, children = () => [], rowKey, sort }) => {
    const kept = memory.get(`${id} sort`, sort);
    let order = columns.some((column) => column.key === kept.key) ? kept : sort;
    const open = new Set(memory.get(`${id} open`, []));
    const body = granule.el('tbody');
    const said = granule.el('p', { class: 'unseen', 'aria-live': 'polite' });

    const cells = (row) => columns.map((column, index) => granule.el(index === 0 ? 'th' : 'td',
      { scope: index === 0 ? 'row' : null, class: column.numeric ? 'number' : null }, column.show(row)));

    const parent = (row) => {
      const inner = children(row);
      const line = granule.el('tr', {}, cells(row));
      const lines = inner.map((child) => granule.el('tr', { class: 'inner', hidden: !open.has(rowKey(row)) }, cells(child)));
      if (inner.length > 0) {
        const button = granule.el('button', {
          class: 'opener', type: 'button', 'aria-expanded': String(open.has(rowKey(row))), 'aria-label': `Runs of ${rowKey(row)}`,
          onclick: () => {
            const shown = !open.has(rowKey(row));
            if (shown) open.add(rowKey(row));
            else open.delete(rowKey(row));
            memory.set(`${id} open`, [...open]);
            button.setAttribute('aria-expanded', String(shown));
            lines.forEach((inside) => inside.toggleAttribute('hidden', !shown));
          },
        });
        const [name] = line.children;
        name.replaceChildren(granule.el('div', { class: 'cell' }, button, ...name.childNodes));
      }
      return { row, lines: [line, ...lines] };
    };
    const parents = rows.map(parent);

    const headings = columns.map((column) => {
      const button = granule.el('button', { type: 'button', title: column.title, onclick: () => turn(column) },
        column.name, granule.el('span', { class: 'arrow', 'aria-hidden': 'true' }));
      return granule.el('th', { scope: 'col', class: column.numeric ? 'number' : null }, button);
    });

    const arrange = () => {
      const column = columns.find(({ key }) => key === order.key);
      const sign = order.down ? -1 : 1;
      const sorted = [...parents].sort((left, right) => compare(column.value(left.row), column.value(right.row), sign));
      body.append(...sorted.flatMap(({ lines }) => lines));
      headings.forEach((heading, index) => {
        const sortedBy = columns[index].key === order.key;
        if (sortedBy) heading.setAttribute('aria-sort', order.down ? 'descending' : 'ascending');
        else heading.removeAttribute('aria-sort');
      });
    };

    const turn = (column) => {
      order = { key: column.key, down: order.key === column.key ? !order.down : false };
      memory.set(`${id} sort`, order);
      arrange();
      said.textContent = `Sorted by ${column.name}, ${order.down ? 'largest' : 'smallest'} first.`;
    };

    arrange();
    return granule.el('div', {}, said,
      granule.el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
        granule.el('table', { id, class: 'sortable' }, granule.el('caption', { class: 'unseen' }, caption),
          granule.el('thead', {}, granule.el('tr', {}, headings)), body)));
  };
}
