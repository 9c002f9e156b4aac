// Builds the page from its document, reloads it while runs are watched, and draws it anew for the printer.

{
  const { el, memory } = granule;

  const SECTIONS = ['results', 'differences', 'curves', 'budgets', 'load', 'experts'];

  // Where the reader is: the section at the upper edge of the window, and the element with the focus. The height of the page
  // is no measure, because pictures that are not drawn yet have another one.
  const here = () => {
    const sections = [...document.querySelectorAll('main > section')];
    const section = sections.find((one) => one.getBoundingClientRect().bottom > 0);
    return { section: section?.id, top: section?.getBoundingClientRect().top, focus: document.activeElement?.id };
  };

  const returnTo = (kept) => {
    if (!kept) return;
    document.getElementById(kept.focus)?.focus({ preventScroll: true });
    const section = document.getElementById(kept.section);
    if (section) scrollBy({ top: section.getBoundingClientRect().top - kept.top, behavior: 'instant' });
  };

  const reloadControl = (document_) => {
    if (!document_.watching) return null;
    const seconds = Math.max(1, document_.refresh_seconds ?? 10);
    history.scrollRestoration = 'manual';
    setInterval(() => {
      if (!memory.get('reload', true)) return;
      memory.set('return', here());
      location.reload();
    }, seconds * 1000);
    return granule.check({
      id: 'reload',
      label: `Reload every ${granule.format.plural(seconds, 'second')}`,
      value: memory.get('reload', true),
      change: (value) => memory.set('reload', value),
    });
  };

  // Paper is light, whatever the theme of the screen is.
  const followPrinter = () => {
    const root = document.documentElement;
    let theme = root.dataset.theme;
    addEventListener('beforeprint', () => {
      theme = root.dataset.theme;
      root.dataset.theme = 'light';
      granule.setPrinting(true);
    });
    addEventListener('afterprint', () => {
      root.dataset.theme = theme;
      granule.setPrinting(false);
    });
  };

  const document_ = JSON.parse(document.getElementById('report-data').textContent);
  const main = document.getElementById('main');
  granule.head(document_, document.getElementById('head'), reloadControl(document_));
  main.append(...SECTIONS.map((name) => granule[name](document_)).filter((section) => section));
  granule.fillContents(main);
  granule.followWidth(main);
  document
    .getElementById('foot')
    .append(
      el(
        'p',
        { class: 'note' },
        'This page holds all its data and asks for nothing from the network. Its curves are drawn by uPlot (MIT licence).',
      ),
    );
  followPrinter();
  returnTo(memory.get('return'));
  memory.set('return', null);
  performance.mark('ready');
  document.documentElement.dataset.ready = 'yes';
}
