import type { Estimate } from './statistics.ts';

/**
 * The outcome of a comparison with the baseline. `BASE`: the baseline itself. `WRONG`: a wrong result, which gets no time.
 * `UNTRUSTED`: a time that the machine cannot reach, so the measurement is at fault. The others: see `verdictOf`.
 */
export type Verdict = 'BASE' | 'FASTER' | 'SLOWER' | 'SAME' | 'UNSURE' | 'WRONG' | 'UNTRUSTED';

/** The default of the least difference that counts: a smaller one takes long to tell from noise. */
export const MIN_EFFECT = 0.05;

/**
 * The largest difference in the interval of the baseline's ratio to itself, as a part of 1: a smaller difference may be noise.
 * Ratios count alike on both sides: 0.8 is as far from 1 as 1.25 is.
 */
export const noiseFloor = ({ low, high }: Estimate): number => Math.max(1 / low, high) - 1;

/**
 * FASTER or SLOWER when the whole interval of the ratio lies beyond both `minEffect` (0.05: 5%) and the noise floor; SAME when it
 * lies within `minEffect`; else UNSURE. Noise makes nothing SAME: when it exceeds the effect, no difference can be excluded.
 */
export function verdictOf(
  { low, high }: Estimate,
  minEffect: number,
  noise = 0,
): 'FASTER' | 'SLOWER' | 'SAME' | 'UNSURE' {
  const counts = 1 + Math.max(minEffect, noise);
  if (low > counts) return 'SLOWER';
  if (high < 1 / counts) return 'FASTER';
  return low >= 1 / (1 + minEffect) && high <= 1 + minEffect ? 'SAME' : 'UNSURE';
}
