// Tokenizers of a published size: bytes, pairs and quadruples of letters, and special tokens with their published ids.

const LETTERS = 26;
const PAIRS = LETTERS ** 2;

/** @typedef {import('./models.mjs').TokenizerShape} TokenizerShape */
/** @typedef {{ normalizer: object | null, preTokenizer: object, ignoreMerges: boolean, addBos: boolean }} PreTokenizer */

/**
 * tokenizer.json and tokenizer_config.json. Text is split as by the published tokenizer; every text can be encoded, and every id
 * below `size` decodes to a text.
 *
 * @param {TokenizerShape} shape
 * @param {number} size The number of tokens, special ones included: the rows of the embedding.
 * @param {PreTokenizer} pre
 * @param {number} maxLength
 */
export function tokenizerFiles({ special, bos, eos, chatTemplate }, size, pre, maxLength) {
  const taken = new Map(Object.entries(special).map(([content, id]) => [id, content]));
  /** @type {Record<string, number>} */
  const vocab = {};
  /** @type {[string, string][]} */
  const merges = [];
  const words = wordsAndMerges();
  for (let id = 0; id < size; id++) {
    const content = taken.get(id);
    if (content !== undefined) continue;
    const { word, merge } = words.next().value;
    vocab[word] = id;
    if (merge !== undefined) merges.push(merge);
  }
  const added = [...taken].filter(([id]) => id < size);
  const first = { SpecialToken: { id: bos, type_id: 0 } };
  const [a, b] = ['A', 'B'].map((id) => ({ Sequence: { id, type_id: 0 } }));
  const postProcessor = {
    type: 'TemplateProcessing',
    single: [first, a],
    pair: [first, a, b],
    special_tokens: { [bos]: { id: bos, ids: [special[bos]], tokens: [bos] } },
  };
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added
      .sort(([x], [y]) => x - y)
      .map(([id, content]) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: !/think>/.test(content),
      })),
    normalizer: pre.normalizer,
    pre_tokenizer: pre.preTokenizer,
    post_processor: pre.addBos ? postProcessor : null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      vocab,
      merges,
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: bos,
    eos_token: eos,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    model_max_length: maxLength,
  };
  return { tokenizer, config };
}

/**
 * The tokens in order, and the merges that make them: the 256 bytes in GPT-2's letters, which need no merge, then pairs of
 * letters, pairs after a space, and quadruples.
 * @returns {Generator<{ word: string, merge?: [string, string] }, never, undefined>}
 */
function* wordsAndMerges() {
  for (const word of byteLetters()) yield { word };
  const letter = (/** @type {number} */ i) => String.fromCharCode(97 + (i % LETTERS));
  const pair = (/** @type {number} */ i) => letter(Math.floor(i / LETTERS)) + letter(i);
  for (let i = 0; i < PAIRS; i++) yield { word: pair(i), merge: [letter(Math.floor(i / LETTERS)), letter(i)] };
  for (let i = 0; i < PAIRS; i++) yield { word: `Ġ${pair(i)}`, merge: ['Ġ', pair(i)] };
  for (let i = 0; i < PAIRS ** 2; i++) {
    const [before, after] = [pair(i % PAIRS), pair((Math.floor(i / PAIRS) + 7 * i) % PAIRS)];
    yield { word: before + after, merge: [before, after] };
  }
  throw new Error(`expected a vocabulary of at most ${256 + 2 * PAIRS + PAIRS ** 2} tokens, got more`);
}

/** GPT-2's letters for bytes: a printable byte is the character itself, the others are the characters from U+0100 on. */
function byteLetters() {
  let next = 256;
  const prints = (/** @type {number} */ byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(prints(byte) ? byte : next++));
}
