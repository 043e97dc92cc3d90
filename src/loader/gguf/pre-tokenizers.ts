/** The parts of tokenizer.json that a name in `tokenizer.ggml.pre` stands for. */
export interface PreTokenizer {
  readonly normalizer: Readonly<Record<string, unknown>> | null;
  readonly preTokenizer: Readonly<Record<string, unknown>>;
  /** Whether a piece of text that is a token is taken without merges. */
  readonly ignoreMerges: boolean;
  /** Whether BOS precedes a text when the file does not say. */
  readonly addBos: boolean;
}

const NFC = { type: 'NFC' };
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers });
const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
/** Splits by one regex after another, then maps bytes to letters. */
const splits = (...regexes: string[]) => sequence(...regexes.map(split), byteLevel(false));

/** The regex of OpenAI's cl100k_base with digits in groups of at most `digits`, as Qwen2 and Llama 3 use it. */
const cl100k = (digits: number) =>
  splits(
    `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits === 1 ? '' : `{1,${digits}}`}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`,
  );

/** The regex of OpenAI's o200k_base, which splits words before capitals. */
const o200k = (digits: string, contractions: string) =>
  splits(
    `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${contractions}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${contractions}|` +
      `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  );

const plain = { normalizer: null, ignoreMerges: false, addBos: false };
const gpt2: PreTokenizer = { ...plain, preTokenizer: byteLevel(true) };
const digits: PreTokenizer = {
  ...plain,
  preTokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)),
};
const llama3: PreTokenizer = { normalizer: null, preTokenizer: cl100k(3), ignoreMerges: true, addBos: true };
const qwen2: PreTokenizer = { ...plain, normalizer: NFC, preTokenizer: cl100k(1) };
const deepseek3: PreTokenizer = {
  ...plain,
  preTokenizer: splits(
    '\\p{N}{1,3}',
    '[一-龥぀-ゟ゠-ヿ]+',
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|' +
      ` ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
  ),
};

// The letters that the published tokenizer.json of DeepSeek LLM lists one by one.
const DEEPSEEK_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ' +
  '\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗ' +
  'Ａ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';

/** The published pre-tokenizers by their names in llama.cpp's conversion (convert_hf_to_gguf_update.py). */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ['default', gpt2],
  ['gpt-2', gpt2],
  ['phi-2', gpt2],
  ['smollm', digits],
  ['starcoder', digits],
  ['refact', digits],
  ['command-r', { ...digits, normalizer: NFC }],
  ['llama-bpe', llama3],
  ['llama3', llama3],
  ['llama-v3', llama3],
  ['smaug-bpe', { ...llama3, ignoreMerges: false }],
  ['falcon3', llama3],
  ['qwen2', qwen2],
  ['deepseek-r1-qwen', qwen2],
  [
    'deepseek-llm',
    {
      ...plain,
      addBos: true,
      preTokenizer: splits(
        '[\\r\\n]',
        `\\s?[${DEEPSEEK_LETTERS}]+`,
        '\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+',
        '\\s+$',
        '[一-龥ࠀ-一가-\ud7ff]+',
        '\\p{N}+',
      ),
    },
  ],
  [
    'deepseek-coder',
    {
      ...plain,
      addBos: true,
      preTokenizer: splits('[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', '[一-龥ࠀ-一가-\ud7ff]+', '\\p{N}'),
    },
  ],
  ['deepseek-v3', { ...deepseek3, addBos: true }],
  ['gpt-4o', { ...plain, preTokenizer: o200k('\\p{N}{1,3}', `${CONTRACTIONS}?`) }],
  ['tekken', { normalizer: null, preTokenizer: o200k('\\p{N}', ''), ignoreMerges: true, addBos: true }],
]);
