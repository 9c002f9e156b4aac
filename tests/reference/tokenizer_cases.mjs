// The texts that make_tokenizers.mjs encodes, and the tokenizers. Characters are limited to Unicode 14. Whether newer
// ones are letters depends on the age of the library.

export const PIECES = [
  'Call me Ishmael. Some years ago', 'whale', ' whales', '  ', '   \t', '\n', '\n\n', '\r\n', ' \n ', 'x\n\n\n  y',
  '\t\tif (x == 10) {\n', '    return x[1234567890];\n', "don't we'll I'M she'd", "'s", "'ſ", '--', '-'.repeat(33), '...',
  'a', 'A', ' a ', 'café', 'naïve ', 'e\u0301\u0302', '\u0301', '鯨鱸は海にいる。カタカナ', '你好，世界', '한국어', '🐋', '👩\u200d👧',
  'שלום', 'مرحبا', 'สวัสดี', 'हिन्दी', 'русский текст', 'Ελληνικά ά', '▁▁x', '\u00a0', '\u3000', '\u0085', '\u180e', '\u2028',
  '\u200b', '\ufeff', '\0', '\x01\x1b\x7f', '\x0b\x0c', '½²Ⅷ', '٣٤٥ １２３', '3.14159', '2024-01-02',
  'http://example.org/a?b=c&d=%20', '<s>', '</s>', '<unk>', '<0x0A>', '\ufffd', '\u{10ffff}', '\ue000', '$5 €100 “quoted”…',
  '<｜begin▁of▁sentence｜>', '<｜end▁of▁sentence｜>', '<｜User｜>', ' <｜User｜> ', '<｜', '｜>', 'a'.repeat(60), '，'.repeat(20),
  '  <tag>\t', '<tag><tag2>', 'SELECT * FROM t WHERE id=42;', 'the theatre then thence',
];

const split = (pattern, behavior, invert = false) =>
  ({ type: 'Split', pattern: typeof pattern === 'string' ? { Regex: pattern } : pattern, behavior, invert });
const byteLevel = (add_prefix_space, use_regex) =>
  ({ type: 'ByteLevel', add_prefix_space, trim_offsets: true, use_regex });
const sequence = (...pretokenizers) => ({ pre_tokenizer: { type: 'Sequence', pretokenizers } });
const cut = (...splits) => sequence(...splits, byteLevel(false, false));
const added = (id, content, flags) =>
  ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...flags });
const space = { String: ' ' };

export const VARIANTS = [
  { name: 'DeepSeek', patch: cut(
    split('\\p{N}{1,3}', 'Isolated'),
    split('[一-龥\u3040-ゟ゠-ヿ]+', 'Isolated'),
    split('[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+' +
      '| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+', 'Isolated')) },
  { name: 'GPT-2', patch: { pre_tokenizer: byteLevel(false, true) } },
  { name: 'GPT-2 with a space before', patch: { pre_tokenizer: byteLevel(true, true) } },
  { name: 'a space before every part', patch: sequence(split('[aeiou]', 'Isolated'), byteLevel(true, true)) },
  { name: 'Llama 3', model: { ignore_merges: true }, patch: cut(split(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" +
      '|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+', 'Isolated')) },
  { name: 'o200k', patch: cut(split(
    '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+' +
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+" +
      '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    'Removed', true)) },
  { name: 'whole text as one word', patch: { pre_tokenizer: byteLevel(false, false) } },
  { name: 'String removed', patch: cut(split(space, 'Removed')) },
  { name: 'String merged with previous', patch: cut(split(space, 'MergedWithPrevious')) },
  { name: 'String merged with next', patch: cut(split(space, 'MergedWithNext')) },
  { name: 'String contiguous', patch: cut(split(space, 'Contiguous')) },
  { name: 'String isolated, inverted', patch: cut(split(space, 'Isolated', true)) },
  { name: 'Regex merged with previous', patch: cut(split('[a-m]', 'MergedWithPrevious')) },
  { name: 'Regex merged with next', patch: cut(split('[a-m]', 'MergedWithNext')) },
  { name: 'Regex merged with next, inverted', patch: cut(split('[a-m]', 'MergedWithNext', true)) },
  { name: 'Regex contiguous', patch: cut(split('[a-m]', 'Contiguous')) },
  { name: 'a String that would be a pattern', patch: cut(split({ String: '.' }, 'Isolated')) },
  { name: 'digits alone', patch: cut({ type: 'Digits', individual_digits: true }) },
  { name: 'digits together', patch: cut({ type: 'Digits', individual_digits: false }) },
  // With Removed, the ids show what matched, if no merge crosses the border.
  { name: 'scripts, not script extensions', patch: cut(split('\\p{Han}+|\\p{Greek}+|\\p{Hiragana}', 'Removed')) },
  { name: 'all but a script', patch: cut(split('\\p{^Common}+|\\P{Latin}\\d', 'Removed')) },
  { name: 'classes of Ruby', patch: cut(split('\\h+|^[\\v\\S]|.$|\\u0065\\x{301}|\\x4d', 'Isolated')) },
  { name: 'classes of Ruby, removed', patch: cut(split('^\\h+|[\\v-]|\\u0065\\x{301}|\\x4d$', 'Removed')) },
  { name: 'white space', patch: cut(split('\\s|[^\\S\\n]x', 'Isolated')) },
  { name: 'white space, removed', patch: cut(split('\\s', 'Removed')) },
  { name: 'no white space, removed', patch: cut(split('[\\S]+', 'Removed')) },
  { name: 'look-behind', patch: cut(split('(?<=e)n|(?<!h)e|(?>th)', 'Isolated')) },
  { name: 'greedy added tokens', patch: { added_tokens: [
    added(0, '<｜begin▁of▁sentence｜>', { special: true }), added(1, '<｜end▁of▁sentence｜>', { special: true }),
    added(659, '<tag>', { lstrip: true, rstrip: true }), added(660, '<tag><tag2', { normalized: true }),
    added(661, 'theat', {}), added(662, 'theatre', { special: true }), added(663, ' <｜User｜>', { normalized: true }),
    added(664, '<｜', { rstrip: true }), added(665, '｜>', { lstrip: true, normalized: true })] } },
];
