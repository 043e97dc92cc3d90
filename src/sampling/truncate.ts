import { type Candidates, keep, logSumExp, maximum, possible, softmax } from './candidates.ts';
import { headOfMass, kthLargest } from './quickselect.ts';
import { argmax, checkLogits } from './logits.ts';
import type { SamplingOptions } from './sampling-options.ts';

/** A stage of the second half of the chain; `temperature` stands here where it is 0, and one token is left. */
export type TruncationStage = 'temperature' | 'topK' | 'topP' | 'minP' | 'typicalP';

type Truncation = (candidates: Candidates, options: SamplingOptions) => Candidates;

/** The second half of the chain, in transformers' order. Each reads the distribution that the one before left. */
const TRUNCATIONS: readonly (readonly [TruncationStage, Truncation])[] = [
  ['topK', keepTopK],
  ['topP', keepTopP],
  ['minP', keepMinP],
  ['typicalP', keepTypical],
];

/**
 * The probabilities `[V]` of adjusted logits after the truncations; `sampler.hook_probs` shows them. Temperature 0 leaves
 * one token, the most likely: the first where several are.
 *
 * @param onStage Is shown what each stage leaves.
 * @throws {NonFiniteLogitsError} when no token can be chosen from the logits.
 */
export function truncatedProbabilities(
  logits: Float32Array,
  options: SamplingOptions,
  onStage?: (stage: TruncationStage, left: Candidates) => void,
): Float32Array {
  checkLogits(logits);
  const probabilities = new Float32Array(logits.length);
  if (options.temperature === 0) {
    const best = argmax(logits);
    probabilities[best] = 1;
    onStage?.('temperature', { ids: Int32Array.of(best), logits: Float64Array.of(logits[best]) });
    return probabilities;
  }
  let candidates = possible(logits);
  for (const [stage, truncate] of TRUNCATIONS) {
    candidates = truncate(candidates, options);
    onStage?.(stage, candidates);
  }
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
