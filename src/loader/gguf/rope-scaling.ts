const LOW = 1;
const HIGH = 4;
/** Divisors are f32 and were computed in f32. */
const TOLERANCE = 1e-4;
const PUBLISHED_CONTEXT = 8192;

/**
 * The `rope_scaling` of config.json from the divisors that llama.cpp stores for Llama 3.1 and later.
 *
 * For a frequency f of wavelength w = 2π/f, with the original context O, llama3 scaling divides f by 1 where w < O/high,
 * by `factor` where w > O/low, and between them by 1 / ((1 − s)/factor + s), s = (O/w − low)/(high − low).
 * The divisors tell `factor`, and from the blended ones O; low = 1 and high = 4 are those of every published model.
 *
 * @returns undefined when the divisors do not follow this formula; null when they scale nothing
 */
export function llama3Scaling(
  divisors: Float32Array,
  theta: number,
  headDim: number,
  originalContext: number | undefined,
): Record<string, unknown> | null | undefined {
  const factor = Math.max(...divisors);
  if (divisors.length !== headDim / 2 || !(factor >= 1)) return undefined;
  if (divisors.every((divisor) => divisor === 1)) return null;
  const wavelength = (i: number) => 2 * Math.PI * theta ** ((2 * i) / headDim);

  const blended = divisors.findIndex((divisor) => divisor > 1 + TOLERANCE && divisor < factor * (1 - TOLERANCE));
  const original = originalContext ?? (blended < 0 ? PUBLISHED_CONTEXT : contextOf(divisors[blended]));
  const follows = divisors.every((divisor, i) => Math.abs(divisor / expected(i) - 1) < TOLERANCE);
  return follows
    ? {
        rope_type: 'llama3',
        factor,
        low_freq_factor: LOW,
        high_freq_factor: HIGH,
        original_max_position_embeddings: original,
      }
    : undefined;

  function contextOf(divisor: number): number {
    const s = (1 / divisor - 1 / factor) / (1 - 1 / factor);
    return Math.round(wavelength(blended) * (s * (HIGH - LOW) + LOW));
  }

  function expected(i: number): number {
    const s = (original / wavelength(i) - LOW) / (HIGH - LOW);
    const kept = Math.min(Math.max(s, 0), 1);
    return 1 / ((1 - kept) / factor + kept);
  }
}
