import { VitrineError } from '../errors.ts';
import type { SamplingOptions } from './sampling-options.ts';

/** Changes `logits` `[V]` in place; `previous` are the tokens of prompt and output. */
type Adjustment = (logits: Float32Array, options: SamplingOptions, previous: readonly number[]) => void;

/** A stage of the first half of the chain, named after the option that it is for. */
export type AdjustmentStage =
  'logitBias' | 'repetitionPenalty' | 'presenceAndFrequencyPenalty' | 'noRepeatNgramSize' | 'temperature';

/** The first half of the chain, in transformers' order; presence and frequency penalty, which it lacks, follow repetition. */
const ADJUSTMENTS: readonly (readonly [AdjustmentStage, Adjustment])[] = [
  ['logitBias', biasTokens],
  ['repetitionPenalty', penaliseRepetition],
  ['presenceAndFrequencyPenalty', penalisePresenceAndFrequency],
  ['noRepeatNgramSize', forbidRepeatedNgrams],
  ['temperature', applyTemperature],
];

/**
 * The logits `[V]` after bias, penalties and temperature, in a new array; `sampler.hook_logits` shows them.
 *
 * @param onStage Is shown the logits after each stage; the next one changes them in place.
 * @throws {VitrineError} for a previous token that is not below V, if a penalty reads it.
 */
export function adjustLogits(
  logits: Float32Array,
  options: SamplingOptions,
  previousTokens: readonly number[],
  onStage?: (stage: AdjustmentStage, logits: Float32Array) => void,
): Float32Array {
  const adjusted = logits.slice();
  for (const [stage, adjust] of ADJUSTMENTS) {
    adjust(adjusted, options, previousTokens);
    onStage?.(stage, adjusted);
  }
  return adjusted;
}

function biasTokens(logits: Float32Array, { logitBias = {} }: SamplingOptions): void {
  for (const [id, bias] of Object.entries(logitBias)) logits[Number(id)] += bias;
}

function penaliseRepetition(
  logits: Float32Array,
  { repetitionPenalty = 1 }: SamplingOptions,
  previous: readonly number[],
): void {
  if (repetitionPenalty === 1) return;
  for (const id of countTokens(previous, logits.length).keys()) {
    const logit = logits[id];
    logits[id] = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty;
  }
}

function penalisePresenceAndFrequency(
  logits: Float32Array,
  { presencePenalty = 0, frequencyPenalty = 0 }: SamplingOptions,
  previous: readonly number[],
): void {
  if (presencePenalty === 0 && frequencyPenalty === 0) return;
  for (const [id, count] of countTokens(previous, logits.length)) {
    logits[id] -= presencePenalty + count * frequencyPenalty;
  }
}

/** Forbids every token that already followed the last n - 1 tokens: one pass over the previous tokens. */
function forbidRepeatedNgrams(
  logits: Float32Array,
  { noRepeatNgramSize: n = 0 }: SamplingOptions,
  previous: readonly number[],
): void {
  if (n === 0) return;
  const tail = previous.length - (n - 1);
  for (let start = 0; start < tail; start++) {
    let same = 0;
    while (same < n - 1 && previous[start + same] === previous[tail + same]) same++;
    if (same === n - 1) logits[previous[start + n - 1]] = -Infinity;
  }
}

function applyTemperature(logits: Float32Array, { temperature = 1 }: SamplingOptions): void {
  if (temperature === 0 || temperature === 1) return;
  for (let i = 0; i < logits.length; i++) logits[i] /= temperature;
}

function countTokens(tokens: readonly number[], vocabularySize: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (const id of tokens) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const id of counts.keys()) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
      throw new VitrineError(`Sampling: previous tokens must be ids from 0 to ${vocabularySize - 1}, got ${id}`);
    }
  }
  return counts;
}
