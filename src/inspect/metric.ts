import type { Model } from '../engine/model.ts';
import { OptionError } from '../options.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A number of the last row of logits, `[1, V]`. */
export type Metric = (logits: Tensor) => number;

/** A token, by its id or by a text that is exactly one token. */
export type OneToken = number | string;

/**
 * The id of a token.
 *
 * @throws {OptionError} for a text that is not one token, and an id outside of the vocabulary.
 */
export function tokenId(model: Model, call: string, token: OneToken): number {
  if (typeof token === 'number') {
    if (Number.isInteger(token) && token >= 0 && token < model.config.vocabSize) return token;
    throw new OptionError(`${call}: expected a token id from 0 to ${model.config.vocabSize - 1}, got ${token}.`);
  }
  const ids = model.tokenizer.encode(token, { addSpecialTokens: false });
  if (ids.length === 1) return ids[0];
  throw new OptionError(
    `${call}: expected a text of one token, got ${JSON.stringify(token)}, which has ${ids.length}. Mind the space before a word.`,
  );
}

/** The logit of `answer` less that of `wrong`, after the last token. */
export function logitDifference(model: Model, answer: OneToken, wrong: OneToken): Metric {
  const [a, b] = [answer, wrong].map((token) => tokenId(model, 'logitDifference', token));
  const { vocabSize: V } = model.config;
  return (logits) => {
    const last = logits.data().subarray(-V);
    return last[a] - last[b];
  };
}
