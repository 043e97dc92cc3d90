import { createRandom } from '../sampling/random.ts';
import { fromBf16, toBf16 } from '../tensor/formats/bf16.ts';
import type { Distribution } from './distributions.ts';

/** Draws arrays; the same for the same seed. */
export interface Draw {
  /** Activations by the chosen distribution. */
  activations(count: number): Float32Array;
  /** Normal weights of standard deviation `deviation`, each of which bf16 holds, so that every storage has the same. */
  weights(count: number, deviation: number): Float32Array;
  uniform(): number;
}

/** One activation in so many is an outlier, and is so many times larger: the kind that language models have. */
const OUTLIER_EVERY = 128;
const OUTLIER_SIZE = 300;
/**
 * Every second activation is below 2^-126, the least normal f32: some processors take a hundred times as long for these,
 * some take them for 0. The others are as usual, so that the result can still show an error.
 */
const DENORMAL_SIZE = 2 ** -130;

/** Normal numbers are taken from a pool of this many, whose start is random: to draw each would take seconds. */
const POOL = 2 ** 16 + 1;

export function createDraw(seed: number, distribution: Distribution): Draw {
  const uniform = createRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const pool = Float64Array.from({ length: POOL }, normal);
  const fill = (count: number, f: (x: number) => number): Float32Array => {
    const out = new Float32Array(count);
    let at = Math.floor(uniform() * POOL);
    for (let i = 0; i < count; i++) {
      out[i] = f(pool[at]);
      if (++at === POOL) at = Math.floor(uniform() * POOL);
    }
    return out;
  };
  return {
    uniform,
    weights: (count, deviation) => fill(count, (x) => fromBf16(toBf16(x * deviation))),
    activations(count) {
      const values = fill(count, (x) => x);
      if (distribution === 'denormal') for (let i = 0; i < count; i += 2) values[i] *= DENORMAL_SIZE;
      if (distribution === 'outliers')
        for (let i = 0; i < count; i += OUTLIER_EVERY) {
          const at = Math.min(count - 1, i + Math.floor(uniform() * OUTLIER_EVERY));
          values[at] *= OUTLIER_SIZE;
        }
      return values;
    },
  };
}
