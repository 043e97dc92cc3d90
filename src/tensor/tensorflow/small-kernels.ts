import type { FusedKernels } from '../backend.ts';
import { elements } from '../dtype.ts';
import { TF, type Addon } from './addon.ts';
import { Handle, type Value } from './handles.ts';

/** Beyond this many numbers TensorFlow's vectorised ops win over a loop in JavaScript. */
const SMALL = 8192;

/**
 * For the few numbers of a one-token step, the 5 us that TensorFlow takes to start an op outweigh its work. Reading a
 * tensor and making one take 1 us each, so that here a loop in JavaScript replaces five to nine ops.
 */
export function smallKernels(addon: Addon): FusedKernels {
  const read = (value: Value): Float32Array => addon.tensorDataSync(value.handle.id) as Float32Array;
  const make = (values: Float32Array, { shape }: Value): Handle =>
    new Handle(addon.createTensor(shape, TF.float, values), shape);

  return {
    rmsNorm(x: Value, weight: Value, epsilon: number): Handle | undefined {
      if (elements(x.shape) > SMALL) return undefined;
      const values = read(x);
      const gain = read(weight);
      const width = gain.length;
      for (let row = 0; row < values.length; row += width) {
        let sum = 0;
        for (let i = row; i < row + width; i++) sum += values[i] * values[i];
        const scale = 1 / Math.sqrt(sum / width + epsilon);
        for (let i = 0; i < width; i++) values[row + i] *= scale * gain[i];
      }
      return make(values, x);
    },

    rotate(x: Value, cos: Value, sin: Value): Handle | undefined {
      if (elements(x.shape) > SMALL) return undefined;
      const values = read(x);
      const c = read(cos);
      const s = read(sin);
      const [rows, heads, width] = x.shape;
      const half = cos.shape[1];
      for (let head = 0; head < rows * heads; head++) {
        const table = Math.floor(head / heads) * half;
        for (let i = 0; i < half; i++) {
          const at = head * width + i;
          const [a, b] = [values[at], values[at + half]];
          values[at] = a * c[table + i] - b * s[table + i];
          values[at + half] = b * c[table + i] + a * s[table + i];
        }
      }
      return make(values, x);
    },
  };
}
