import * as huggingface from '@huggingface/tokenizers';
import type { StepBuilder } from '../step-builder.ts';
import type { Fields } from '../json-fields.ts';
import type { Model } from './tokenizer-model.ts';
import { unknownId } from './word-level.ts';

// Typed here because the declarations of the package do not resolve in ES modules.
const { Tokenizer } = huggingface as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => { model: (words: string[]) => string[] };
};

/** Characters. The time of a word is cubic in its length, which is harmless up to this one. */
const SHORT_WORD = 100;

/** The WordPiece model, which matches the longest token first, from left to right: that of `@huggingface/tokenizers`. */
export function wordPiece(fields: Fields, vocab: ReadonlyMap<string, number>, builder: StepBuilder): Model {
  const unknown = fields.string('unk_token', '[UNK]');
  const longest = fields.integer('max_input_chars_per_word', 0, 2 ** 31, SHORT_WORD);
  if (longest > SHORT_WORD) builder.isLinear = false;
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
