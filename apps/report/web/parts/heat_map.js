// A heat map on a canvas: rows × columns of numbers, read with the pointer or with the arrow keys.

{
  const { palette } = granule;

  // Where the colours end. An even share is 1, and what is three times as much has the brightest colour.
  const paint = (context, values, brightest) => {
    const rows = values.length;
    const columns = values[0].length;
    const image = context.createImageData(columns, rows);
    values.forEach((line, row) =>
      line.forEach((value, column) => {
        const at = (row * columns + column) * 4;
        const known = value !== null && value !== undefined;
        const [red, green, blue] = known ? palette.heat(value / brightest) : [128, 128, 128];
        image.data.set([red, green, blue, known ? 255 : 90], at);
      }),
    );
    context.putImageData(image, 0, 0);
  };

  // marks: [[part of the length, text]…]
  const axis = (marks, side) =>
    granule.el(
      'div',
      { class: `axis ${side}`, 'aria-hidden': 'true' },
      marks.map(([part, text]) => granule.el('span', { style: `${side === 'bottom' ? 'left' : 'top'}:${part * 100}%` }, text)),
    );

  // The names of rows or columns that have room.
  const named = (names, count) => {
    const stride = Math.max(1, Math.ceil(names.length / count));
    return names.map((name, index) => [(index + 0.5) / names.length, name]).filter((_, index) => index % stride === 0);
  };

  // values[row][column] with the names of both. columnMarks(most) gives [[part of the width, text]…] instead of names. describe(row, column) is a sentence, and say(sentence) shows it.
  granule.heatMap = (
    box,
    width,
    { values, rows, columns, columnMarks, rowAxis, columnAxis, brightest, height, label, describe, say },
  ) => {
    const canvas = granule.el('canvas', {
      width: columns.length,
      height: rows.length,
      role: 'application',
      tabindex: 0,
      'aria-roledescription': 'heat map',
      'aria-label': `${label} Arrow keys read the values.`,
    });
    paint(canvas.getContext('2d'), values, brightest);
    const mark = granule.el('div', { class: 'mark', hidden: true });
    const frame = granule.el('div', { class: 'frame', style: `height:${height}px` }, canvas, mark);
    let at = null;
    const [across, down] = [100 / columns.length, 100 / rows.length];
    const show = (row, column) => {
      at = [row, column];
      mark.hidden = false;
      mark.style.cssText = `left:${column * across}%;top:${row * down}%;width:${across}%;height:${down}%`;
      say(describe(row, column));
    };
    const leave = () => {
      mark.hidden = true;
    };
    const pick = (event) => {
      const place = canvas.getBoundingClientRect();
      const part = (value, from, size, count) => Math.min(count - 1, Math.max(0, Math.floor(((value - from) / size) * count)));
      show(
        part(event.clientY, place.top, place.height, rows.length),
        part(event.clientX, place.left, place.width, columns.length),
      );
    };
    canvas.addEventListener('pointermove', pick);
    canvas.addEventListener('pointerdown', pick);
    canvas.addEventListener('pointerleave', leave);
    canvas.addEventListener('blur', leave);
    canvas.addEventListener('keydown', (event) => {
      const moves = {
        ArrowUp: [-1, 0],
        ArrowDown: [1, 0],
        ArrowLeft: [0, -1],
        ArrowRight: [0, 1],
        Home: [0, -Infinity],
        End: [0, Infinity],
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const [row, column] = at ?? [0, 0];
      const [rowStep, columnStep] = at ? moves[event.key] : [0, 0];
      show(Math.min(rows.length - 1, Math.max(0, row + rowStep)), Math.min(columns.length - 1, Math.max(0, column + columnStep)));
    });
    box.append(
      granule.el(
        'div',
        { class: 'heat' },
        granule.el('div', { class: 'axis-name left', 'aria-hidden': 'true' }, rowAxis),
        axis(named(rows, Math.max(2, Math.floor(height / 18))), 'left'),
        frame,
        axis(columnMarks ? columnMarks((width - 70) / 60) : named(columns, Math.max(2, Math.floor((width - 70) / 30))), 'bottom'),
        granule.el('div', { class: 'axis-name bottom', 'aria-hidden': 'true' }, columnAxis),
      ),
    );
  };

  // The scale of colours with its marks: [[value, text]…].
  granule.heatLegend = (brightest, marks, label) => {
    const stops = Array.from({ length: 9 }, (_, index) => `rgb(${palette.heat(index / 8).join(',')}) ${(index / 8) * 100}%`);
    return granule.el(
      'div',
      {
        class: 'heat-legend',
        role: 'img',
        'aria-label': `${label}: ${marks.map(([, text]) => text).join(', ')}, from dark to bright.`,
      },
      granule.el('span', { class: 'name' }, label),
      granule.el(
        'div',
        { class: 'scale' },
        granule.el('div', { class: 'bar', style: `background:linear-gradient(to right, ${stops.join(', ')})` }),
        marks.map(([value, text]) => granule.el('span', { class: 'tick', style: `left:${(value / brightest) * 100}%` }, text)),
      ),
    );
  };
}
