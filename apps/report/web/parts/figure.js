// A picture with its title, what it shows under the pointer, and its numbers as a table. It is drawn when it is near the
// part of the page that is seen, and again when the width, the theme or the paper changes.

{
  const figures = new Set();
  const PRINT_WIDTH = 690;

  let printing = false;

  const draw = (figure) => {
    const width = printing ? (figure.printWidth ?? PRINT_WIDTH) : figure.box.clientWidth;
    if (width < 10) return;
    figure.drawn = width;
    figure.draw(figure.box, Math.floor(width));
    figure.box.style.minHeight = '';
  };

  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const figure = entry.target.figure;
        if (!figure) continue;
        figure.near = entry.isIntersecting;
        if (figure.near && !figure.drawn) draw(figure);
      }
    },
    { rootMargin: '400px' },
  );

  // The numbers become elements only while somebody looks at them.
  const fillTable = (figure, details) => {
    details.querySelector('.scroll')?.remove();
    if (details.open) details.append(granule.plainTable(figure.title, figure.table()));
  };

  // title; draw(box, width) fills the empty box; height keeps the place until then; table() gives {head, rows}.
  // The picture says in `readout` what is under the pointer or the keyboard.
  granule.figure = ({ title, note, height, draw: drawing, table: numbers, printWidth }) => {
    const heading = granule.el('h3', { id: granule.newId() }, title);
    const readout = granule.el('p', { class: 'readout', 'aria-live': 'polite' });
    const box = granule.el('div', { class: 'box', style: `min-height:${height}px` });
    const figure = { title, box, printWidth, table: numbers, drawn: 0, near: false };
    figure.draw = (place, width) => {
      place.replaceChildren();
      drawing(place, width, figure);
    };
    const details = granule.el('details', { class: 'numbers' }, granule.el('summary', {}, 'Show as a table'));
    details.addEventListener('toggle', () => fillTable(figure, details));
    figure.node = granule.el(
      'figure',
      { 'aria-labelledby': heading.id },
      heading,
      note ? granule.el('p', { class: 'note' }, note) : null,
      box,
      readout,
      details,
    );
    figure.rename = (text) => {
      figure.title = text;
      heading.textContent = text;
    };
    figure.say = (text) => {
      if (readout.textContent !== text) readout.textContent = text;
    };
    figure.again = () => {
      if (figure.drawn) draw(figure);
      fillTable(figure, details);
    };
    box.figure = figure;
    figures.add(figure);
    near.observe(box);
    return figure;
  };

  // Figures that were taken out of the page are forgotten.
  const present = () => [...figures].filter((figure) => figure.node.isConnected || !figures.delete(figure));

  granule.redraw = () =>
    present()
      .filter((figure) => figure.drawn)
      .forEach(draw);

  // On paper every figure is drawn, in the width of a sheet.
  granule.setPrinting = (value) => {
    printing = value;
    if (printing) present().forEach(draw);
    else granule.redraw();
  };

  // The figures follow the width of the page, once it has come to rest.
  granule.followWidth = (main) => {
    let waiting = 0;
    let last = main.clientWidth;
    new ResizeObserver(() => {
      if (main.clientWidth === last || printing) return;
      last = main.clientWidth;
      clearTimeout(waiting);
      waiting = setTimeout(
        () =>
          present()
            .filter((figure) => figure.drawn && figure.drawn !== figure.box.clientWidth)
            .forEach(draw),
        80,
      );
    }).observe(main);
  };

  // A table that only shows. The first cell of a row names it.
  granule.plainTable = (caption, { head, rows }) =>
    granule.el(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
      granule.el(
        'table',
        {},
        granule.el('caption', { class: 'unseen' }, caption),
        granule.el(
          'thead',
          {},
          granule.el(
            'tr',
            {},
            head.map((name) => granule.el('th', { scope: 'col' }, name)),
          ),
        ),
        granule.el(
          'tbody',
          {},
          rows.map((row) =>
            granule.el(
              'tr',
              {},
              row.map((cell, index) => (index === 0 ? granule.el('th', { scope: 'row' }, cell) : granule.el('td', {}, cell))),
            ),
          ),
        ),
      ),
    );
}
