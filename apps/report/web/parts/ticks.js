// Round numbers along an axis, linear or logarithmic.

{
  const nice = (rough, base) => {
    const unit = base ** Math.floor(Math.log(rough) / Math.log(base) + 1e-9);
    const steps = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 2.5, 5, 10];
    return unit * steps.find((step) => step * unit >= rough * 0.999);
  };

  const linear = (low, high, count, base) => {
    const step = nice((high - low) / Math.max(1, count), base);
    const ticks = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
      ticks.push(Number((index * step).toPrecision(12)));
    }
    return ticks;
  };

  const logarithmic = (low, high, count, base) => {
    const decades = Math.log10(high / low);
    if (decades < 1) return linear(low, high, count, base).filter((tick) => tick > 0);
    const factors = decades < 3 && count >= 3 * decades ? [1, 2, 5] : [1];
    const stride = Math.max(1, Math.ceil(decades / Math.max(1, count)));
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += stride) {
      ticks.push(...factors.map((factor) => Number(`${factor}e${power}`)));
    }
    return ticks.filter((tick) => tick >= low * 0.999999 && tick <= high * 1.000001);
  };

  // About `count` round numbers between low and high, and at least two. The base is 1024 for bytes.
  granule.ticks = (low, high, { count = 5, log = false, base = 10 } = {}) => {
    if (!(high > low)) return [low];
    const between = log && low > 0 ? logarithmic : linear;
    for (let more = count; more < 64 * count; more *= 2) {
      const ticks = between(low, high, more, base);
      if (ticks.length > 1) return ticks;
    }
    return [low, high];
  };

  const short = (text) => text.replace(/(\.\d*?)0+(?=\D*$)/, '$1').replace(/\.(?=\D*$)/, '');

  // The texts of ticks, with as many digits as it takes to tell them apart.
  granule.tickTexts = (values, show) => {
    for (let digits = 3; digits < 10; digits += 1) {
      const texts = values.map((value) => short(show(value, { digits })));
      if (new Set(texts).size === values.length) return texts;
    }
    return values.map((value) => show(value));
  };

  // The range of an axis with some room at both ends. A single value lies in the middle.
  granule.range = (values, { log = false, room = 0.05 } = {}) => {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value === null || value === undefined || (log && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low === Infinity) return log ? [1, 10] : [0, 1];
    if (low === high && low === 0) return [0, 1];
    if (low === high) return log ? [low / 1.2, high * 1.2] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
    if (log) {
      const factor = (high / low) ** room;
      return [low / factor, high * factor];
    }
    return [low - (high - low) * room, high + (high - low) * room];
  };
}
