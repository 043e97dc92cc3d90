import { showValue, TokenizerError, type Fields } from '../json-fields.ts';
import type { Model } from './tokenizer-model.ts';

/** Whole words only: a word that the vocabulary does not have is the unknown token. */
export function wordLevel(fields: Fields, vocab: ReadonlyMap<string, number>): Model {
  const unknown = fields.string('unk_token');
  return {
    vocab,
    encode: (word) => [vocab.get(word) ?? unknownId(fields, vocab, unknown)],
  };
}

/** The id of the token that stands for what the vocabulary lacks. @throws {TokenizerError} where it has no id. */
export function unknownId(fields: Fields, vocab: ReadonlyMap<string, number>, token: string): number {
  const id = vocab.get(token);
  if (id !== undefined) return id;
  throw new TokenizerError(
    `${fields.path}: the text needs the unknown token ${showValue(token)}, which the vocabulary lacks`,
  );
}
