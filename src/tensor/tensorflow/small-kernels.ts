import type { BinaryOp, FusedKernels } from '../backend.ts';
import { elements } from '../dtype.ts';
import { TF, type Addon } from './addon.ts';
import { Handle, type Value } from './handles.ts';

/** Beyond this many numbers TensorFlow's vectorised ops win over a loop in JavaScript. */
const SMALL = 8192;

/**
 * Loops in JavaScript for the few numbers of a one-token step, where the 5 to 20 us that TensorFlow takes to start an op
 * outweigh its work: reading a tensor and making one take 1 us each. Each gives `undefined` where TensorFlow is faster.
 */
export interface SmallKernels extends Required<FusedKernels> {
  rmsNorm(x: Value, weight: Value, epsilon: number): Handle | undefined;
  layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Handle | undefined;
  rotate(x: Value, cos: Value, sin: Value): Handle | undefined;
  swiglu(gate: Value, up: Value): Handle | undefined;
  /** Of operands of one shape, or where the right one has the last axes of the left: a number, a bias, a mask. */
  binary(op: BinaryOp, a: Value, b: Value): Handle | undefined;
  /** Of a single row along its last axis. */
  split(row: Value, sizes: readonly number[]): Handle[] | undefined;
}

export function smallKernels(addon: Addon): SmallKernels {
  const read = (value: Value): Float32Array => addon.tensorDataSync(value.handle.id) as Float32Array;
  const make = (values: Float32Array, shape: readonly number[]): Handle =>
    new Handle(addon.createTensor(shape, TF.float, values), shape);
  const isSmall = ({ shape, dtype }: Value): boolean => dtype === 'f32' && elements(shape) <= SMALL;

  return {
    rmsNorm(x, weight, epsilon) {
      if (!isSmall(x)) return undefined;
      const values = read(x);
      const gain = read(weight);
      const width = gain.length;
      for (let row = 0; row < values.length; row += width) {
        let sum = 0;
        for (let i = row; i < row + width; i++) sum += values[i] * values[i];
        const scale = 1 / Math.sqrt(sum / width + epsilon);
        for (let i = 0; i < width; i++) values[row + i] *= scale * gain[i];
      }
      return make(values, x.shape);
    },

    layerNorm(x, weight, bias, epsilon) {
      if (!isSmall(x)) return undefined;
      const values = read(x);
      const gain = read(weight);
      const offset = read(bias);
      const width = gain.length;
      for (let row = 0; row < values.length; row += width) {
        let sum = 0;
        for (let i = row; i < row + width; i++) sum += values[i];
        const mean = sum / width;
        let squares = 0;
        for (let i = row; i < row + width; i++) squares += (values[i] - mean) ** 2;
        const scale = 1 / Math.sqrt(squares / width + epsilon);
        for (let i = 0; i < width; i++) values[row + i] = (values[row + i] - mean) * scale * gain[i] + offset[i];
      }
      return make(values, x.shape);
    },

    rotate(x, cos, sin) {
      if (!isSmall(x)) return undefined;
      const values = read(x);
      const c = read(cos);
      const s = read(sin);
      const [rows, heads, width] = x.shape;
      const half = cos.shape[1];
      for (let head = 0; head < rows * heads; head++) {
        const table = Math.floor(head / heads) * half;
        for (let i = 0; i < half; i++) {
          const at = head * width + i;
          const a = values[at];
          const b = values[at + half];
          values[at] = a * c[table + i] - b * s[table + i];
          values[at + half] = b * c[table + i] + a * s[table + i];
        }
      }
      return make(values, x.shape);
    },

    swiglu(gate, up) {
      if (!isSmall(gate)) return undefined;
      const values = read(gate);
      const factors = read(up);
      for (let i = 0; i < values.length; i++) values[i] *= factors[i] / (1 + Math.exp(-values[i]));
      return make(values, gate.shape);
    },

    binary(op, a, b) {
      if (!isSmall(a)) return undefined;
      const values = read(a);
      const others = read(b);
      const period = others.length;
      if (op === 'add') for (let i = 0; i < values.length; i++) values[i] += others[i % period];
      else if (op === 'sub') for (let i = 0; i < values.length; i++) values[i] -= others[i % period];
      else if (op === 'mul') for (let i = 0; i < values.length; i++) values[i] *= others[i % period];
      else if (op === 'div') for (let i = 0; i < values.length; i++) values[i] /= others[i % period];
      else {
        const pick = op === 'maximum' ? Math.max : Math.min;
        for (let i = 0; i < values.length; i++) values[i] = pick(values[i], others[i % period]);
      }
      return make(values, a.shape);
    },

    split(row, sizes) {
      if (!isSmall(row) || row.shape.at(-1) !== elements(row.shape)) return undefined;
      const values = read(row);
      let from = 0;
      return sizes.map((size) => make(values.slice(from, (from += size)), row.shape.with(-1, size)));
    },
  };
}
