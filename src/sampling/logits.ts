import { VitrineError } from '../errors.ts';
import { kthLargest } from './quickselect.ts';

/** Logits from which no token can be chosen. */
export class NonFiniteLogitsError extends VitrineError {
  override readonly name = 'NonFiniteLogitsError';
}

/**
 * Checks that a token can be chosen.
 *
 * @throws {NonFiniteLogitsError} for NaN, for +Infinity, and when no logit is above -Infinity.
 */
export function checkLogits(logits: Float32Array): void {
  largest(logits);
}

/** Says why no token can be chosen from logits; undefined where one can. */
export function describeBroken(logits: Float32Array): string | undefined {
  const best = argmax(logits); // The first NaN, where there is one.
  const top = logits[best] ?? -Infinity;
  if (Number.isFinite(top)) return undefined;
  return top === -Infinity ? 'every logit is -Infinity' : `the logit of token ${best} is ${top}`;
}

/**
 * The largest logit.
 *
 * @throws {NonFiniteLogitsError} as `checkLogits` does.
 */
function largest(logits: Float32Array): number {
  const top = logits[argmax(logits)] ?? -Infinity;
  if (Number.isFinite(top)) return top;
  if (top !== -Infinity) throw new NonFiniteLogitsError(`Sampling: ${describeBroken(logits)}; no token can be chosen`);
  throw new NonFiniteLogitsError(
    `Sampling: none of ${logits.length} tokens is possible (every logit is -Infinity); ` +
      'loosen noRepeatNgramSize or logitBias, or look at the model for an overflow',
  );
}

/** The index of the first NaN; without one, of the first largest value; -1 for an empty array. */
export function argmax(values: Float32Array): number {
  let best = -1;
  let top = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value > top || best < 0) {
      best = i;
      top = value;
    }
    if (value !== value) return i;
  }
  return best;
}

/**
 * The natural logarithm of a token's probability, the softmax of `logits` `[V]`.
 *
 * @throws {NonFiniteLogitsError} as `checkLogits` does.
 */
export function logprobOf(token: number, logits: Float32Array): number {
  return logits[token] - logTotal(logits);
}

/**
 * The `n` most likely tokens and their log-probabilities, most likely first; among equal ones the lower id is first.
 *
 * @throws {NonFiniteLogitsError} as `checkLogits` does.
 */
export function topLogprobs(logits: Float32Array, n: number): { token: number; logprob: number }[] {
  if (n === 0) return [];
  const total = logTotal(logits);
  const least = kthLargest(logits, n);
  const top: { token: number; logprob: number }[] = [];
  logits.forEach((logit, token) => {
    if (logit >= least) top.push({ token, logprob: logit - total });
  });
  return top.sort((a, b) => b.logprob - a.logprob || a.token - b.token).slice(0, n);
}

/** `ln(sum(exp(logits)))`. */
function logTotal(logits: Float32Array): number {
  const top = largest(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}
