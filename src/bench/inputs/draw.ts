import { createRandom } from '../../sampling/random.ts';
import { fromBf16, toBf16 } from '../../tensor/formats/bf16.ts';
import type { Distribution } from './distributions.ts';

/** A source of random arrays, which a seed determines. */
export interface Draw {
  /** Activations by the chosen distribution, in units of its standard deviation. */
  activations(count: number): Float32Array;
  /** Normal weights of standard deviation `deviation`, rounded to bf16, so that every format can store the same. */
  weights(count: number, deviation: number): Float32Array;
  /** From 0 to 1, 1 excluded. */
  uniform(): number;
}

/** Outliers as language models have them: one activation in 128, 300 times as large. */
const OUTLIER_EVERY = 128;
const OUTLIER_SIZE = 300;
/**
 * The factor of every second activation, which brings it below 2^-126, the least normal f32: some processors compute such numbers a
 * hundred times more slowly, some flush them to 0. The others stay normal, so that an error still shows in the result.
 */
const DENORMAL_SIZE = 2 ** -130;

/** Normal numbers come from a pool of this size, from a random place on: to draw each would take seconds. */
const POOL = 2 ** 16 + 1;

/** A source of random arrays; `recorded` draws as `normal`, for arrays that were not recorded. */
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
