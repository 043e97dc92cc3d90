import { headOfMass, kthLargest } from './quickselect.ts';
import { argmax, checkLogits } from './logits.ts';
import type { SamplingOptions } from './sampling-options.ts';

/** The tokens that are still possible, by ascending id; every logit is finite. */
interface Candidates {
  readonly ids: Int32Array;
  readonly logits: Float64Array;
}

type Truncation = (candidates: Candidates, options: SamplingOptions) => Candidates;

/** The second half of the chain, in transformers' order. Each reads the distribution that the one before left. */
const TRUNCATIONS: readonly Truncation[] = [keepTopK, keepTopP, keepMinP, keepTypical];

/**
 * The probabilities `[V]` of adjusted logits after the truncations; `sampler.hook_probs` shows them. Temperature 0 leaves
 * one token, the most likely: the first where several are.
 *
 * @throws {NonFiniteLogitsError} when no token can be chosen from the logits.
 */
export function truncatedProbabilities(logits: Float32Array, options: SamplingOptions): Float32Array {
  checkLogits(logits);
  const probabilities = new Float32Array(logits.length);
  if (options.temperature === 0) {
    probabilities[argmax(logits)] = 1;
    return probabilities;
  }
  let candidates = possible(logits);
  for (const truncate of TRUNCATIONS) candidates = truncate(candidates, options);
  const left = softmax(candidates.logits);
  for (let i = 0; i < left.length; i++) probabilities[candidates.ids[i]] = left[i];
  return probabilities;
}

function keepTopK(candidates: Candidates, { topK = 0 }: SamplingOptions): Candidates {
  if (topK === 0 || topK >= candidates.ids.length) return candidates;
  const least = kthLargest(candidates.logits, topK);
  return keep(candidates, (logit) => logit >= least);
}

function keepTopP(candidates: Candidates, { topP = 1 }: SamplingOptions): Candidates {
  if (topP === 1) return candidates;
  const target = Math.max(topP, Number.MIN_VALUE);
  const { threshold, massAbove } = headOfMass(candidates.logits.slice(), softmax(candidates.logits), target);
  // Only as many tokens at the threshold as the mass needs are kept, the higher ids first: transformers sorts in
  // ascending order.
  const each = Math.exp(threshold - logSumExp(candidates.logits));
  const atThreshold = candidates.logits.reduce((count, logit) => count + (logit === threshold ? 1 : 0), 0);
  let surplus = atThreshold - Math.max(1, Math.ceil((target - massAbove) / each));
  return keep(candidates, (logit) => logit > threshold || (logit === threshold && surplus-- <= 0));
}

function keepMinP(candidates: Candidates, { minP = 0 }: SamplingOptions): Candidates {
  if (minP === 0) return candidates;
  const top = maximum(candidates.logits);
  return keep(candidates, (logit) => Math.exp(logit - top) >= minP);
}

function keepTypical(candidates: Candidates, { typicalP = 1 }: SamplingOptions): Candidates {
  if (typicalP === 1) return candidates;
  const masses = softmax(candidates.logits);
  const logTotal = logSumExp(candidates.logits);
  const entropy = masses.reduce((sum, p, i) => sum - p * (candidates.logits[i] - logTotal), 0);
  const closeness = (logit: number) => -Math.abs(logTotal - logit - entropy);
  const { threshold } = headOfMass(candidates.logits.map(closeness), masses, typicalP);
  return keep(candidates, (logit) => closeness(logit) >= threshold);
}

function possible(logits: Float32Array): Candidates {
  const ids = new Int32Array(logits.length).map((_, id) => id);
  return keep({ ids, logits: new Float64Array(logits) }, (logit) => logit > -Infinity);
}

function keep({ ids, logits }: Candidates, wanted: (logit: number) => boolean): Candidates {
  let kept = 0;
  const left = { ids: new Int32Array(ids.length), logits: new Float64Array(ids.length) };
  for (let i = 0; i < ids.length; i++) {
    if (!wanted(logits[i])) continue;
    left.ids[kept] = ids[i]!;
    left.logits[kept++] = logits[i]!;
  }
  return { ids: left.ids.subarray(0, kept), logits: left.logits.subarray(0, kept) };
}

function softmax(logits: Float64Array): Float64Array {
  const top = maximum(logits);
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += weights[i] = Math.exp(logits[i] - top);
  for (let i = 0; i < weights.length; i++) weights[i] /= total;
  return weights;
}

function logSumExp(logits: Float64Array): number {
  const top = maximum(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}

function maximum(values: Float64Array): number {
  let top = -Infinity;
  for (const value of values) if (value > top) top = value;
  return top;
}
