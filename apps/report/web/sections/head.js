// The head of the page: what the report is about, the state of the runs, what failed, and the theme.

{
  const { el, format, memory } = granule;

  const STATES = ['complete', 'running', 'stopped', 'failed', 'waiting'];

  const statesText = (runs) => {
    const counted = STATES.map((state) => [state, runs.filter((run) => run.state === state).length]).filter(
      ([, count]) => count > 0,
    );
    const others = runs.filter((run) => !STATES.includes(run.state)).length;
    if (others) counted.push(['in an unknown state', others]);
    if (counted.length === 1 && runs.length === 1) return `1 run, which is ${counted[0][0]}`;
    if (counted.length === 1) return `${format.plural(runs.length, 'run')}, all ${counted[0][0]}`;
    return `${format.plural(runs.length, 'run')}: ${counted.map(([state, count]) => `${format.whole(count)} ${state}`).join(', ')}`;
  };

  const themeChoice = () => {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const apply = () => {
      const chosen = memory.get('theme', 'system');
      document.documentElement.dataset.theme = chosen === 'system' ? (system.matches ? 'dark' : 'light') : chosen;
      granule.redraw();
    };
    system.addEventListener('change', apply);
    apply();
    return granule.choice({
      id: 'theme',
      label: 'Colours',
      value: memory.get('theme', 'system'),
      options: [
        ['system', 'Like the system'],
        ['light', 'Light'],
        ['dark', 'Dark'],
      ],
      change: (value) => {
        memory.set('theme', value);
        apply();
      },
    });
  };

  // Runs that ended with an error, and what the report says about the files of a run.
  const warnings = (runs) => {
    const failed = runs
      .filter((run) => run.state === 'failed' || run.error)
      .map((run) => [run.name, run.error || 'It left no message.']);
    const notes = runs.flatMap((run) => (run.notes ?? []).map((note) => [run.name, note]));
    const list = (heading, lines) =>
      lines.length === 0
        ? []
        : [
            el('h2', {}, heading),
            el(
              'ul',
              {},
              lines.map(([name, text]) => el('li', {}, el('strong', {}, granule.breakable(name)), `: ${text}`)),
            ),
          ];
    if (failed.length + notes.length === 0) return null;
    return el(
      'section',
      { id: 'warnings', class: 'warnings', 'aria-label': 'Warnings' },
      list(`${format.plural(failed.length, 'run has', 'runs have')} failed`, failed),
      list('What to know about these runs', notes),
    );
  };

  granule.head = (document_, place, reloading) => {
    const { runs } = document_;
    document.title = `${document_.title} – Granule report`;
    place.append(
      el(
        'div',
        { class: 'top' },
        el(
          'div',
          {},
          el('h1', {}, document_.title),
          el(
            'p',
            { class: 'note' },
            `${statesText(runs)}. Made on ${format.date(document_.created)} by Granule ${document_.version}.`,
          ),
        ),
        el('div', { class: 'controls' }, reloading, themeChoice()),
      ),
      el('nav', { 'aria-label': 'Sections', id: 'contents' }),
    );
    const failed = warnings(runs);
    if (failed) place.append(failed);
  };

  // The navigation lists the sections that the page has.
  granule.fillContents = (main) => {
    const links = [...main.querySelectorAll(':scope > section')].map((section) =>
      el('li', {}, el('a', { href: `#${section.id}` }, section.querySelector('h2').textContent)),
    );
    if (links.length > 1) document.getElementById('contents').append(el('ul', {}, links));
  };
}
