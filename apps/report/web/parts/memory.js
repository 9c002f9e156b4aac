// What the reader chose, kept when the page reloads itself: options, sort order, scroll position and theme.
// Browsers may refuse sessionStorage to a page from file://. The entry of the page in the history then serves.

{
  const KEY = `granule-report ${location.pathname}`;

  const read = () => {
    try {
      const text = sessionStorage.getItem(KEY);
      if (text) return JSON.parse(text);
    } catch {
      /* it is refused, or not ours */
    }
    try {
      return history.state?.granule ?? {};
    } catch {
      return {};
    }
  };

  const kept = read();

  const write = () => {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(kept));
      return;
    } catch {
      /* it is refused or full */
    }
    try {
      history.replaceState({ granule: kept }, '');
    } catch {
      /* the page then begins anew after it has reloaded */
    }
  };

  granule.memory = {
    get: (name, otherwise) => (name in kept ? kept[name] : otherwise),
    set: (name, value) => {
      kept[name] = value;
      write();
    },
  };
}
