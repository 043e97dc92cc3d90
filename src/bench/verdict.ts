import type { Estimate } from './statistics.ts';

/**
 * What a comparison of times comes to. `WRONG`: the results are, so no time is told. `UNTRUSTED`: faster than the machine
 * can be, so the measurement is at fault. `BASE`: what others are compared with.
 */
export type Verdict = 'BASE' | 'FASTER' | 'SLOWER' | 'SAME' | 'UNSURE' | 'WRONG' | 'UNTRUSTED';

/** The least difference that counts where nothing else is asked for: less takes long to tell from noise. */
export const MIN_EFFECT = 0.05;

/**
 * The farthest that a comparison of the baseline with itself strayed from "no difference", as a part: with less than this,
 * a difference is noise. Both sides count alike: a ratio of 0.8 is as far as one of 1.25.
 */
export const noiseFloor = ({ low, high }: Estimate): number => Math.max(1 / low, high) - 1;

/**
 * FASTER or SLOWER where the whole interval of the ratio lies beyond `minEffect` (0.05: a twentieth) and beyond what noise
 * alone comes to; SAME where it lies within `minEffect`; else UNSURE. Noise makes nothing SAME: where it is larger than the
 * effect, no difference can be excluded.
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
