/** The tokens that are still possible, by ascending id; every logit is finite. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly logits: Float64Array;
}

/** The tokens of logits `[V]` that are above -Infinity. */
export function possible(logits: Float32Array): Candidates {
  const ids = new Int32Array(logits.length).map((_, id) => id);
  return keep({ ids, logits: new Float64Array(logits) }, (logit) => logit > -Infinity);
}

/** Those whose logits are wanted. */
export function keep({ ids, logits }: Candidates, wanted: (logit: number) => boolean): Candidates {
  let kept = 0;
  const left = { ids: new Int32Array(ids.length), logits: new Float64Array(ids.length) };
  for (let i = 0; i < ids.length; i++) {
    if (!wanted(logits[i])) continue;
    left.ids[kept] = ids[i]!;
    left.logits[kept++] = logits[i]!;
  }
  return { ids: left.ids.subarray(0, kept), logits: left.logits.subarray(0, kept) };
}

/** The probabilities of logits: they sum to 1. */
export function softmax(logits: Float64Array): Float64Array {
  const top = maximum(logits);
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += weights[i] = Math.exp(logits[i] - top);
  for (let i = 0; i < weights.length; i++) weights[i] /= total;
  return weights;
}

/** `ln(sum(exp(logits)))`. */
export function logSumExp(logits: Float64Array): number {
  const top = maximum(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}

/** The largest value; -Infinity where there is none. */
export function maximum(values: Float64Array): number {
  let top = -Infinity;
  for (const value of values) if (value > top) top = value;
  return top;
}
