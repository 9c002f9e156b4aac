// Numbers as people read them. A value that is not known is a dash.

{
  const NONE = '–';
  const known = (show) => (value) => (value === null || value === undefined || !Number.isFinite(value) ? NONE : show(value));

  const SUPERSCRIPT = { '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };
  const minus = (text) => text.replace(/^-/, '−');
  const trimmed = (text) => (text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text);

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
    return minus(trimmed(value.toFixed(places)));
  };

  const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
  const scaled = (value, base, unit, digits = 3) => {
    let level = 0;
    let rest = value;
    while (Math.abs(rest) >= base * 0.9995 && level < PREFIXES.length - 1) {
      rest /= base;
      level += 1;
    }
    const suffix = `${PREFIXES[level]}${base === 1024 && level > 0 ? 'i' : ''}${unit}`;
    const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.max(1, Math.abs(rest)))));
    return `${minus(trimmed(rest.toFixed(places)))}${suffix ? ` ${suffix === 'k' ? 'k' : suffix}` : ''}`;
  };

  const duration = (hours) => {
    const seconds = hours * 3600;
    if (seconds < 60) return `${trimmed(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return `${trimmed((seconds / 60).toFixed(1))} min`;
    if (hours < 48) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return `${trimmed((hours / 24).toFixed(1))} days`;
  };

  granule.format = {
    NONE,
    number: known((value) => significant(value)),
    loss: known((value) => minus(value.toFixed(4))),
    signed: known((value) => `${value > 0 ? '+' : ''}${minus(value.toFixed(4))}`),
    ratio: known((value) => significant(value, 3)),
    whole: known((value) => minus(Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ' '))),
    count: known((value) => scaled(value, 1000, '')),
    flops: known((value) => scaled(value, 1000, 'FLOP')),
    bytes: known((value) => scaled(value, 1024, 'B')),
    rate: known((value) => scaled(value, 1000, '')),
    percent: known((value) => `${trimmed((value * 100).toFixed(1))} %`),
    hours: known(duration),
    // The value of a config key, which may be text, a number, a list or a truth value.
    value: (value) => {
      if (value === null || value === undefined) return NONE;
      if (typeof value === 'number') return significant(value, 6);
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
