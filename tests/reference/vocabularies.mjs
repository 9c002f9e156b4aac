// Encodes odd texts with Hugging Face's own libraries: node vocabularies.mjs MODULES OUT NAME…
//
// MODULES is a node_modules with tokenizers (the Rust library), @huggingface/tokenizers (the one in JavaScript) and
// @lenml/tokenizer-NAME for each NAME. A NAME with a / is a folder with a tokenizer.json instead. OUT gets texts.json and a NAME.json for each: ids and decoded texts of the Rust
// library, and ids of the other one. They are null where the two are known to differ and the Rust library is right:
// JavaScript counts U+FEFF as white space and U+0085 as none, and takes only 0 to 9 of all scripts for digits.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { RULE_TEXTS } from './rule_cases.mjs';
import { PIECES } from './tokenizer_cases.mjs';

const [modules, out, ...names] = process.argv.slice(2);
const require = createRequire(path.resolve(modules) + '/');
const rust = require('tokenizers');
const js = require('@huggingface/tokenizers');
const ROOT = path.join(path.dirname(new URL(import.meta.url).pathname), '../..');
const KNOWN_TO_DIFFER = /[\ufeff\u0085\p{No}\p{Nl}]/u;

const ODD = [
  '\u0344', '\u0958', '\u2126', 'ḍ̇', '\u0e33', '\u0f77', '\u1e9b\u0323', '\u{1d15e}', '\u{2f800}', '\ufb1d', '\u0340', '\uff67', '\ufe0f', '🏳️‍🌈', '👨‍👩‍👧‍👦', '🇩🇪',
  '\u0600', '12345678901', '0x1F', 'v2.0', 'don\u2019t', "I'LL", "we'Ve", '        ', '\n\n\n\n', '\t\t\t', '\r', '====', '////', '=>', '{}', '[];', '"quoted"', '`code`',
  '#include <a>', 'def f(x):\n    return x\n', '<|im_start|>user\nhi<|im_end|>', '<|endoftext|>', '<bos>', '<start_of_turn>', '[INST]', '<s>[INST]', '<0x41>', '▁▁', 'ĠĠa',
  'ไทย', 'ქართული', 'አማርኛ', 'តើ', '𝒳𝓎', '𓀀', '\ud7fb', '\uffff', '\u001b[0m', '\u0080', '\u009f', '\u00ad', '\u2029', '\u2060',
];

// The result is the same on every machine.
function makeTexts() {
  const pieces = [...PIECES, ...RULE_TEXTS, ...ODD];
  let state = 7n;
  const draw = (n) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((state >> 33n) % BigInt(n));
  };
  const mixed = Array.from({ length: 500 }, () =>
    Array.from({ length: 1 + draw(14) }, () => pieces[draw(pieces.length)]).join(draw(3) ? '' : ' '));
  const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
  const files = ['configs/quickstart/moby-dick.txt', 'data/bpe/merges.cpp', 'scripts/house/arrows.py', 'docs/data.md'];
  return [...pieces, ...mixed, ...files.map((file) => read(file).slice(0, 60000))];
}

const texts = makeTexts();
fs.writeFileSync(path.join(out, 'texts.json'), JSON.stringify(texts));
for (const name of names) {
  const folder = name.includes('/') ? name : path.join(modules, `@lenml/tokenizer-${name}/models`);
  const read = (file) => JSON.parse(fs.readFileSync(path.join(folder, file)));
  const first = rust.Tokenizer.fromFile(path.join(folder, 'tokenizer.json'));
  const second = new js.Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
  const result = { ids: [], decoded: [], js: [] };
  for (const text of texts) {
    result.ids.push((await first.encode(text, null, { addSpecialTokens: false })).getIds());
    result.decoded.push(await first.decode(result.ids.at(-1), true));
    result.js.push(KNOWN_TO_DIFFER.test(text) ? null : second.encode(text, { add_special_tokens: false }).ids);
  }
  fs.writeFileSync(path.join(out, path.basename(name) + '.json'), JSON.stringify(result));
}
