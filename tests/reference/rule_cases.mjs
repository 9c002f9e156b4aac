// Normalizers, pre-tokenizers, added tokens and decoders that make_tokenizers.mjs compares in addition, and their texts.

export const RULE_TEXTS = [
  'Call me Ishmael. Some years ago', ' whales', '  two  spaces ', '\ttab\n\n line', "don't we'll I'M she'd 've", '...--!?', 'snake_case-word x',
  'a1b22c333 4444', '1,234.50', 'x²y³ ½ Ⅷ ① ١٢٣ १२३ 10⁵', 'café e\u0301 cafe\u0301', 'A\u030a \u212b Å', 'q\u0323\u0307 q\u0307\u0323', 'ﬁ ﬀ ﷺ ™ ㎏ …',
  'ｆｕｌｌ　ｗｉｄｔｈ', 'ｶﾞ ハ\u309a', '\u1100\u1161\u11a8 한국어', '鯨は海にいる。', '你好，世界！', 'İSTANBUL ß Σς ŒUVRE', 'हिन्दी है', 'مرحبا، بالعالم۔', '👩\u200d👧 🐋', '\u2000\u3000\u00a0x',
  '', ' ', '▁', ' ▁a', 'a▁b', '<tag>', 'a<tag>b', ' <tag> ', '<tag><tag> x', '<TAG> <Tag> <A>x<ａ><b>', 'the<s>whale</s>', '<unk><0x0A>', 'tagged tag, tag_ tag', 'sea-tag tag', 'theatre',
  'Ġ Ċ â', '¡', '٬', 'a/b/c//d', 'x\r\n\r\ny', '\u0000\u0001\u007f', '\u{10ffff}\ufffd', '\u166d\u2e4d\u0964',
];

const split = (pattern, behavior, invert = false) =>
  ({ type: 'Split', pattern: typeof pattern === 'string' ? { Regex: pattern } : pattern, behavior, invert });
const byteLevel = (use_regex, add_prefix_space = false) => ({ type: 'ByteLevel', add_prefix_space, trim_offsets: true, use_regex });
const sequence = (...pretokenizers) => ({ type: 'Sequence', pretokenizers });
const cut = (...splits) => ({ pre_tokenizer: sequence(...splits, byteLevel(false)) });
const all = (...normalizers) => ({ type: 'Sequence', normalizers });
const replace = (pattern, content) => ({ type: 'Replace', pattern, content });
const added = (id, content, flags) =>
  ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...flags });
const metaspace = (prepend_scheme, split) => ({ type: 'Metaspace', replacement: '▁', prepend_scheme, split });
const text = (String) => ({ String });

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const QWEN2 = CONTRACTIONS + '|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}' + REST;
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]', UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]';
const KIMI = `[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${CONTRACTIONS}?|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${CONTRACTIONS}?|\\p{N}{1,3}` + REST;
const BLOOM = ' ?[^(\\s|[.,!?…。，、।۔،])]+';

// Patches of base.json, which is byte-level BPE.
export const BYTE_RULES = [
  { name: 'Qwen 2.5', patch: { normalizer: { type: 'NFC' }, ...cut(split(QWEN2, 'Isolated')) } },
  { name: 'GPT-NeoX', patch: { normalizer: { type: 'NFC' }, pre_tokenizer: byteLevel(true) } },
  { name: 'Claude', patch: { normalizer: { type: 'NFKC' }, pre_tokenizer: byteLevel(true) } },
  { name: 'Command-R', patch: { normalizer: { type: 'NFC' }, pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) } },
  { name: 'Cohere 2', patch: cut(split('\\d{1,3}(?=(?:\\d{3})*\\b)', 'Isolated'), split(QWEN2, 'Isolated')) },
  { name: 'BLOOM', patch: cut(split(BLOOM, 'Isolated')) },
  { name: 'Viking', patch: cut(split(BLOOM, 'Isolated'), { type: 'Digits', individual_digits: true }) },
  { name: 'Falcon', patch: { pre_tokenizer: sequence({ type: 'Punctuation', behavior: 'Contiguous' }, byteLevel(true),
    { type: 'Digits', individual_digits: false }, split('[0-9][0-9][0-9]', 'Isolated')) } },
  { name: 'Kimi', patch: cut(split(KIMI, 'Isolated')) },
  { name: 'LLaDA', patch: cut(split("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+", 'Isolated')) },
  { name: 'Laguna', patch: cut(split('(?:\\r?\\n)+(?!\\r?\\n)', 'MergedWithNext'), split(QWEN2, 'Isolated')) },
  { name: 'DeepSeek Coder', patch: cut(split('[\r\n]', 'Isolated'), split('\\s?\\p{L}+', 'Isolated'), split('\\s?\\p{P}+', 'Isolated'),
    split('[一-龥ࠀ-一가-퟿]+', 'Isolated'), { type: 'Digits', individual_digits: true }) },
  { name: 'NFD', patch: { normalizer: { type: 'NFD' }, pre_tokenizer: byteLevel(true) } },
  { name: 'NFKD', patch: { normalizer: { type: 'NFKD' }, pre_tokenizer: byteLevel(true) } },
  { name: 'small letters without accents', patch: { normalizer: all({ type: 'NFD' }, { type: 'Lowercase' }, { type: 'StripAccents' }), pre_tokenizer: byteLevel(true) } },
  { name: 'white space at the ends', patch: { normalizer: { type: 'Strip', strip_left: true, strip_right: true }, pre_tokenizer: byteLevel(true) } },
  { name: 'white space at the left', patch: { normalizer: { type: 'Strip', strip_left: true, strip_right: false }, pre_tokenizer: byteLevel(true, true) } },
  { name: 'replaced', patch: { normalizer: all(replace({ Regex: '[ \\t]+' }, ' $1'), replace(text('e'), ''), { type: 'Prepend', prepend: 'x ' }), pre_tokenizer: byteLevel(true) } },
  { name: 'added tokens in normalized text', patch: { normalizer: all({ type: 'NFKC' }, { type: 'Lowercase' }), pre_tokenizer: byteLevel(true), added_tokens: [
    added(659, '<TAG>', { normalized: true }), added(660, '<s>', { special: true }), added(661, '<Ａ>', { normalized: true }), added(662, '<Ｂ>', { normalized: true, special: true })] } },
  { name: 'single words', patch: { pre_tokenizer: byteLevel(true), added_tokens: [added(659, 'tag', { single_word: true, rstrip: true }), added(660, 'the', { single_word: true })] } },
  { name: 'Punctuation', patch: cut({ type: 'Punctuation' }) },
  { name: 'Punctuation removed', patch: cut({ type: 'Punctuation', behavior: 'Removed' }) },
  { name: 'Whitespace', patch: cut({ type: 'Whitespace' }) },
  { name: 'WhitespaceSplit', patch: cut({ type: 'WhitespaceSplit' }) },
  { name: 'BertPreTokenizer', patch: cut({ type: 'BertPreTokenizer' }) },
  { name: 'CharDelimiterSplit', patch: cut({ type: 'CharDelimiterSplit', delimiter: '/' }) },
  { name: 'FixedLength', patch: cut({ type: 'FixedLength', length: 3 }) },
  { name: 'Metaspace before bytes', patch: cut(metaspace('first', true)) },
  { name: 'cut after bytes', patch: { pre_tokenizer: sequence(byteLevel(true), split('[âĠ]', 'Removed'), { type: 'Digits', individual_digits: true }) } },
  { name: 'words removed', patch: cut(split('\\w+', 'Removed')) },
  { name: 'no words removed', patch: cut(split('\\W', 'Removed')) },
  { name: 'words in brackets', patch: cut(split('[\\w-]+', 'Removed')) },
  { name: 'no words in brackets', patch: cut(split('[^\\W\\d]', 'Removed')) },
  { name: 'borders of words', patch: cut(split('\\b[a-z]|\\B\\p{P}', 'Removed')) },
  { name: 'all of two', patch: cut(split('[a-z&&[^aeiou]]+', 'Removed')) },
  { name: 'all of three', patch: cut(split('[\\p{L}&&[^m-p]&&[a-z]]', 'Removed')) },
  { name: 'not all of two', patch: cut(split('[^a-z&&[^x]]', 'Removed')) },
  { name: 'any of two', patch: cut(split('[a-c[x-z]-]', 'Removed')) },
  { name: 'none of two', patch: cut(split('[^a[b-z] ]', 'Removed')) },
  { name: 'any but one', patch: cut(split('[\\s[^a-y]]', 'Removed')) },
];

const LLAMA = { normalizer: all({ type: 'Prepend', prepend: '▁' }, replace(text(' '), '▁')), pre_tokenizer: null,
  decoder: { type: 'Sequence', decoders: [replace(text('▁'), ' '), { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }] } };
const GEMMA = { normalizer: replace(text(' '), '▁'), pre_tokenizer: split(text(' '), 'MergedWithPrevious'),
  decoder: { type: 'Sequence', decoders: [replace(text('▁'), ' '), { type: 'ByteFallback' }, { type: 'Fuse' }] } };
const spaces = (...scheme) => ({ normalizer: null, pre_tokenizer: metaspace(...scheme), decoder: metaspace(...scheme) });
const special = (id, content) => added(id, content, { special: true });

// Patches of pieces.json, whose model has characters and falls back to bytes. `drop` removes tokens, with their merges.
export const PIECE_RULES = [
  { name: 'Llama 2', patch: LLAMA },
  { name: 'Gemma 3', patch: GEMMA },
  { name: 'Mistral 7B', patch: { ...spaces('first', false), decoder: LLAMA.decoder } },
  { name: 'Metaspace before all', patch: spaces('always', true) },
  { name: 'Metaspace before the first', patch: spaces('first', true) },
  { name: 'Metaspace before none', patch: spaces('never', true) },
  { name: 'an older Metaspace', patch: { ...spaces('always', true), pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true, str_rep: '▁' } } },
  { name: 'added tokens, normalized', patch: { ...LLAMA, added_tokens: [special(1, '<s>'), added(700, '<tag>', { normalized: true }), added(701, 'sea', { lstrip: true })] } },
  { name: 'white space removed before Metaspace', patch: { ...spaces('first', true), normalizer: { type: 'Strip', strip_left: true, strip_right: false } } },
  { name: 'unknown characters', patch: { ...LLAMA, decoder: GEMMA.decoder }, model: { byte_fallback: false, fuse_unk: false } },
  { name: 'unknown characters as one', patch: LLAMA, model: { byte_fallback: false, fuse_unk: true } },
  { name: 'some bytes missing', patch: LLAMA, model: { fuse_unk: true }, drop: ['<0xE6>', '<0xC3>'] },
  { name: 'whole words first', patch: { ...spaces('always', true) }, model: { ignore_merges: true } },
  { name: 'words and punctuation', patch: { normalizer: null, pre_tokenizer: { type: 'BertPreTokenizer' }, decoder: null } },
];
