import * as huggingface from '@huggingface/tokenizers';
import type { StepBuilder } from '../step-builder.ts';
import type { Fields } from '../json-fields.ts';
import type { Model } from './tokenizer-model.ts';
import { unknownId } from './word-level.ts';

// Described here because the package's own declarations do not resolve in ES modules.
const { Tokenizer } = huggingface as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => { model: (words: string[]) => string[] };
};

/** Words up to this length take little time whatever the vocabulary; a longer one takes its third power. */
const SHORT_WORD = 100;

/** Longest match first, from a word's beginning: the model of `@huggingface/tokenizers`. */
export function wordPiece(fields: Fields, vocab: ReadonlyMap<string, number>, build: StepBuilder): Model {
  const unknown = fields.string('unk_token', '[UNK]');
  const longest = fields.integer('max_input_chars_per_word', 0, 2 ** 31, SHORT_WORD);
  if (longest > SHORT_WORD) build.isLinear = false;
  const { model } = new Tokenizer(
    {
      model: {
        type: 'WordPiece',
        vocab: Object.fromEntries(vocab),
        unk_token: unknown,
        continuing_subword_prefix: fields.string('continuing_subword_prefix', '##'),
        max_input_chars_per_word: longest,
      },
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
    },
    {},
  );
  return {
    vocab,
    encode: (word) => model([word]).map((token) => vocab.get(token) ?? unknownId(fields, vocab, unknown)),
  };
}
