import type { Model } from '../engine/model.ts';
import { OptionError } from '../options.ts';
import { scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A number of the last row of logits, `[1, V]`; in a tensor, it can also be what gradients are taken of. */
export type Metric = (logits: Tensor) => number | Tensor;

/** The number that a metric gives. */
export const measured = (metric: Metric, logits: Tensor): number =>
  scope('', () => {
    const value = metric(logits);
    return typeof value === 'number' ? value : value.data64()[0];
  });

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

/** The logit of `answer` less that of `wrong`, after the last token: for sweeps, and for gradients. `[1, 1]` */
export function logitDifference(model: Model, answer: OneToken, wrong: OneToken): (logits: Tensor) => Tensor {
  const [a, b] = [answer, wrong].map((token) => tokenId(model, 'logitDifference', token));
  return (logits) => {
    const last = logits.shape[0] - 1;
    const logit = (id: number): Tensor => logits.slice([last, id], [1, 1]);
    return scope('', () => logit(a).sub(logit(b)));
  };
}
