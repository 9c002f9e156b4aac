// A table that is sorted by a click on a heading, or by Enter or the space bar there. Rows may open into further rows.

{
  const { el, memory } = granule;

  // What is not known comes last in both directions.
  const compare = (left, right, sign) => {
    const leftKnown = left !== null && left !== undefined;
    const rightKnown = right !== null && right !== undefined;
    if (!leftKnown || !rightKnown) return Number(rightKnown) - Number(leftKnown);
    if (typeof left === 'number' && typeof right === 'number') return sign * (left - right);
    return sign * String(left).localeCompare(String(right), 'en', { numeric: true });
  };

  const classOf = ({ numeric, minor }) => [numeric && 'number', minor && 'minor'].filter(Boolean).join(' ') || null;

  class SortableTable {
    constructor({ id, columns, rows, children, rowKey, sort }) {
      Object.assign(this, { id, columns, children, rowKey });
      const kept = memory.get(`${id} sort`, sort);
      this.order = columns.some((column) => column.key === kept.key) ? kept : sort;
      this.open = new Set(memory.get(`${id} open`, []));
      this.body = el('tbody');
      this.said = el('p', { class: 'unseen', 'aria-live': 'polite' });
      this.headings = columns.map((column) => this.heading(column));
      this.groups = rows.map((row) => this.group(row));
      this.arrange();
    }

    heading(column) {
      const arrow = el('span', { class: 'arrow', 'aria-hidden': 'true' });
      const turn = { type: 'button', title: column.title, onclick: () => this.turn(column) };
      return el('th', { scope: 'col', class: classOf(column) }, el('button', turn, column.name, arrow));
    }

    line(row, attributes = {}) {
      const cell = (column, index) => {
        const scope = index === 0 ? 'row' : null;
        return el(scope ? 'th' : 'td', { scope, class: classOf(column) }, column.show(row));
      };
      return el('tr', attributes, this.columns.map(cell));
    }

    // A row and those into which it opens. They stay together.
    group(row) {
      const key = this.rowKey(row);
      const inner = this.children(row).map((child) => this.line(child, { class: 'inner', hidden: !this.open.has(key) }));
      const line = this.line(row);
      if (inner.length > 0) {
        const [name] = line.children;
        name.replaceChildren(el('div', { class: 'cell' }, this.opener(key, inner), ...name.childNodes));
      }
      return { row, lines: [line, ...inner] };
    }

    opener(key, inner) {
      const expanded = String(this.open.has(key));
      const button = el('button', { class: 'opener', type: 'button', 'aria-expanded': expanded, 'aria-label': `Runs of ${key}` });
      button.addEventListener('click', () => {
        const shown = !this.open.delete(key);
        if (shown) this.open.add(key);
        memory.set(`${this.id} open`, [...this.open]);
        button.setAttribute('aria-expanded', String(shown));
        inner.forEach((line) => line.toggleAttribute('hidden', !shown));
      });
      return button;
    }

    turn(column) {
      this.order = { key: column.key, down: this.order.key === column.key ? !this.order.down : false };
      memory.set(`${this.id} sort`, this.order);
      this.arrange();
      this.said.textContent = `Sorted by ${column.name}, ${this.order.down ? 'largest' : 'smallest'} first.`;
    }

    arrange() {
      const { key, down } = this.order;
      const column = this.columns.find((one) => one.key === key);
      this.groups.sort((left, right) => compare(column.value(left.row), column.value(right.row), down ? -1 : 1));
      this.body.append(...this.groups.flatMap(({ lines }) => lines));
      this.headings.forEach((heading, index) => {
        heading.removeAttribute('aria-sort');
        if (this.columns[index].key === key) heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      });
    }
  }

  // A column is {key, name, title, numeric, minor, value(row), show(row)}: what it sorts by, and the text or element of a cell.
  // A minor one is not printed.
  // A row is any object. children(row) are the rows into which it opens, and rowKey(row) names it.
  // sort: {key, down}, the order at first.
  granule.sortableTable = ({ id, caption, columns, rows, children = () => [], rowKey, sort }) => {
    const made = new SortableTable({ id, columns, rows, children, rowKey, sort });
    const head = el('thead', {}, el('tr', {}, made.headings));
    const table = el('table', { id, class: 'sortable' }, el('caption', { class: 'unseen' }, caption), head, made.body);
    return el('div', {}, made.said, el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, table));
  };
}
