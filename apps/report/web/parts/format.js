// Numbers as people read them. A value that is not known is a dash.

{
  const NONE = '–';
  // A caller may ask for another number of significant digits. It is a member, because map() gives a number to what it calls.
  const known =
    (show) =>
    (value, { digits } = {}) =>
      value === null || value === undefined || !Number.isFinite(value) ? NONE : show(value, digits);

  const SUPERSCRIPT = { '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };
  const minus = (text) => text.replace(/^-/, '−');
  const trimmed = (text) => (/^[^×]*\.\d+$/.test(text) ? text.replace(/0+$/, '').replace(/\.$/, '') : text);

  const power = (value, digits) => {
    const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
    const raised = [...exponent.replace('+', '')].map((sign) => SUPERSCRIPT[sign]).join('');
    const factor = trimmed(mantissa);
    return minus(factor === '1' ? `10${raised}` : `${factor} × 10${raised}`);
  };

  const significant = (value, digits = 4) => {
    if (value === 0) return '0';
    const size = Math.abs(value);
    if (size < 1e-3 || size >= 1e7) return power(value, Math.min(digits, 3));
    const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    return minus(value.toFixed(places));
  };

  const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
  // The size in front of a unit with a prefix, as in 1.40 M. Below the first prefix it is as short as it can be.
  const scaled =
    (base, unit) =>
    (value, digits = 3) => {
      let level = 0;
      let rest = value;
      while (Math.abs(rest) >= base * 0.9995 && level < PREFIXES.length - 1) {
        rest /= base;
        level += 1;
      }
      const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.max(1, Math.abs(rest)))));
      const text = minus(level === 0 ? trimmed(rest.toFixed(places)) : rest.toFixed(places));
      const suffix = `${PREFIXES[level]}${base === 1024 && level > 0 ? 'i' : ''}${unit}`;
      return suffix ? `${text}\u00a0${suffix}` : text;
    };

  const duration = (hours, digits = 2) => {
    const seconds = hours * 3600;
    const short = (value) => trimmed(value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(Math.max(1, value))))));
    if (seconds === 0) return '0 s';
    if (seconds < 60) return `${short(seconds)} s`;
    if (seconds < 3600) return `${trimmed((seconds / 60).toFixed(digits - 1))} min`;
    const minutes = Math.round(seconds / 60);
    if (hours < 48) return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
    return `${trimmed((hours / 24).toFixed(digits - 1))} days`;
  };

  granule.format = {
    NONE,
    number: known((value, digits = 4) => trimmed(significant(value, digits))),
    figure: known((value, digits = 4) => significant(value, digits)),
    loss: known((value) => minus(value.toFixed(4))),
    signed: known((value) => `${value > 0 ? '+' : ''}${minus(value.toFixed(4))}`),
    ratio: known((value, digits = 3) => significant(value, digits)),
    whole: known((value) =>
      minus(
        Math.round(value)
          .toString()
          .replace(/\B(?=(\d{3})+$)/g, '\u2009'),
      ),
    ),
    count: known(scaled(1000, '')),
    flops: known(scaled(1000, 'FLOP')),
    bytes: known(scaled(1024, 'B')),
    percent: known((value, digits = 3) => (value === 0 ? '0 %' : `${(value * 100).toFixed(digits - 2)} %`)),
    hours: known(duration),
    // The value of a config key, which may be text, a number, a list or a truth value.
    value: (value) => {
      if (value === null || value === undefined) return NONE;
      if (typeof value === 'number') return trimmed(significant(value, 6));
      if (Array.isArray(value)) return value.map(granule.format.value).join(', ');
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
    },
    plural: (count, one, many = `${one}s`) => `${granule.format.whole(count)} ${count === 1 ? one : many}`,
    date: (text) => {
      const time = new Date(text);
      if (Number.isNaN(time.getTime())) return String(text ?? NONE);
      const day = time.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });
      return `${day}, ${time.toISOString().slice(11, 16)} UTC`;
    },
  };
}
