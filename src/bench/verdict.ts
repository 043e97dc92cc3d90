import type { Estimate } from './statistics.ts';

/**
 * What a comparison of times comes to. `WRONG`: the results are, so no time is told. `UNTRUSTED`: faster than the machine
 * can be, so the measurement is at fault. `BASE`: what others are compared with.
 */
export type Verdict = 'BASE' | 'FASTER' | 'SLOWER' | 'SAME' | 'UNSURE' | 'WRONG' | 'UNTRUSTED';

/**
 * The farthest that a comparison of the baseline with itself strayed from "no difference", as a part: with less than this,
 * a difference is noise. Both sides count alike: a ratio of 0.8 is as far as one of 1.25.
 */
export const noiseFloor = ({ low, high }: Estimate): number => Math.max(1 / low, high) - 1;

/**
 * FASTER or SLOWER where the whole interval of the ratio lies beyond `minEffect` (0.05: a twentieth); SAME where it lies
 * within it; else UNSURE.
 */
export function verdictOf({ low, high }: Estimate, minEffect: number): 'FASTER' | 'SLOWER' | 'SAME' | 'UNSURE' {
  const above = 1 + minEffect;
  const below = 1 / above;
  if (low > above) return 'SLOWER';
  if (high < below) return 'FASTER';
  return low >= below && high <= above ? 'SAME' : 'UNSURE';
}
