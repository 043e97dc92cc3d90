import { showValue, TokenizerError, type Fields } from '../json-fields.ts';
import type { Model } from './tokenizer-model.ts';

/** The WordLevel model: a word is one token, or the unknown token if the vocabulary lacks it. */
export function wordLevel(fields: Fields, vocab: ReadonlyMap<string, number>): Model {
  const unknown = fields.string('unk_token');
  return {
    vocab,
    encode: (word) => [vocab.get(word) ?? unknownId(fields, vocab, unknown)],
  };
}

/**
 * The id of the unknown token.
 *
 * @throws {TokenizerError} when the vocabulary lacks it.
 */
export function unknownId(fields: Fields, vocab: ReadonlyMap<string, number>, token: string): number {
  const id = vocab.get(token);
  if (id !== undefined) return id;
  throw new TokenizerError(
    `${fields.path}: the text needs the unknown token ${showValue(token)}, which the vocabulary lacks`,
  );
}
