// Makes elements. A child that is a string becomes a text node, so nothing from the data is ever read as HTML.

// The one name that the files of this page share. Each file adds its part.
const granule = {};

{
  const SVG = 'http://www.w3.org/2000/svg';

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
      else if (name === 'style') node.style.cssText = value;
      else node.setAttribute(name, value === true ? '' : String(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return node;
  };

  granule.el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  granule.svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  // A long name. It breaks between its parts, and inside of a part only if that is too long for a line.
  const pieces = (part) => part.split(/(?<=_)/).flatMap((piece, index) => (index ? [granule.el('wbr'), piece] : [piece]));
  granule.breakable = (text) =>
    String(text)
      .split(/(?<=[,/])/)
      .map((part) => granule.el('span', { class: 'whole' }, pieces(part)));

  let made = 0;
  granule.newId = () => `part-${++made}`;

  // A section of the page with a heading, which the navigation lists.
  granule.section = (id, name, ...children) =>
    granule.el(
      'section',
      { id, 'aria-labelledby': `${id}-heading` },
      granule.el('h2', { id: `${id}-heading` }, name),
      ...children,
    );

  // A labelled choice. options: [[value, text]…], or [[group, [[value, text]…]]…] when grouped.
  granule.choice = ({ id, label, options, value, change }) => {
    const option = ([key, text]) =>
      Array.isArray(text)
        ? granule.el('optgroup', { label: key }, text.map(option))
        : granule.el('option', { value: key, selected: String(key) === String(value) }, text);
    const select = granule.el('select', { id, onchange: () => change(select.value) }, options.map(option));
    return granule.el('label', { class: 'control', for: id }, granule.el('span', {}, label), select);
  };

  granule.check = ({ id, label, value, change }) => {
    const box = granule.el('input', { type: 'checkbox', id, checked: value, onchange: () => change(box.checked) });
    return granule.el('label', { class: 'control check', for: id }, box, granule.el('span', {}, label));
  };
}
