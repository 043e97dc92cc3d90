import type { BinaryOp, FusedKernels } from '../backend.ts';
import type { Shape } from '../shape.ts';
import type { CpuKernels } from '../cpu/kernels.ts';
import { elements } from '../dtype.ts';
import { kernelRuns } from '../trace.ts';
import type { Executor, Handle, Value } from './handles.ts';

/** Beyond this many numbers TensorFlow's vectorised ops win over a loop in JavaScript. */
const SMALL = 8192;

/** Beyond this many scores TensorFlow's softmax, which always wakes all threads, is as fast as ours. */
const FEW_SCORES = 2 ** 18;

/**
 * Loops in JavaScript for the few numbers of a one-token step, where the 5 to 20 us that TensorFlow takes to start an op
 * outweigh its work: reading a tensor and making one take 1 us each. Each gives `undefined` where TensorFlow is faster.
 */
export interface SmallKernels extends FusedKernels {
  rmsNorm(x: Value, weight: Value, epsilon: number): Handle | undefined;
  layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Handle | undefined;
  rotate(x: Value, cos: Value, sin: Value): Handle | undefined;
  swiglu(gate: Value, up: Value): Handle | undefined;
  softmax(x: Value): Handle | undefined;
  /** Of operands of one shape, or where the right one has the last axes of the left: a number, a bias, a mask. */
  binary(op: BinaryOp, a: Value, b: Value): Handle | undefined;
  /** Slices along the first axis. */
  gather(a: Value, indices: Value): Handle | undefined;
  /** Of a single row along its last axis. */
  split(row: Value, sizes: readonly number[]): Handle[] | undefined;
}

/** The kernels that read and write host memory. */
export function smallKernels(executor: Executor, kernels: CpuKernels): SmallKernels {
  const read = (value: Value): Float32Array => executor.read(value);
  const make = (values: Float32Array, shape: Shape): Handle => executor.made(values, shape);
  const isSmall = ({ shape, dtype }: Value): boolean => dtype === 'f32' && elements(shape) <= SMALL;

  return {
    rmsNorm(x, weight, epsilon) {
      if (!isSmall(x)) return undefined;
      kernelRuns('JavaScript', 'rmsNorm');
      const values = read(x);
      const gain = read(weight);
      const width = gain.length;
      const out = new Float32Array(values.length);
      for (let row = 0; row < values.length; row += width) {
        let sum = 0;
        for (let i = row; i < row + width; i++) sum += values[i] * values[i];
        const scale = 1 / Math.sqrt(sum / width + epsilon);
        for (let i = 0; i < width; i++) out[row + i] = values[row + i] * scale * gain[i];
      }
      return make(out, x.shape);
    },

    layerNorm(x, weight, bias, epsilon) {
      if (!isSmall(x)) return undefined;
      kernelRuns('JavaScript', 'layerNorm');
      const values = read(x);
      const gain = read(weight);
      const offset = read(bias);
      const width = gain.length;
      const out = new Float32Array(values.length);
      for (let row = 0; row < values.length; row += width) {
        let sum = 0;
        for (let i = row; i < row + width; i++) sum += values[i];
        const mean = sum / width;
        let squares = 0;
        for (let i = row; i < row + width; i++) squares += (values[i] - mean) ** 2;
        const scale = 1 / Math.sqrt(squares / width + epsilon);
        for (let i = 0; i < width; i++) out[row + i] = (values[row + i] - mean) * scale * gain[i] + offset[i];
      }
      return make(out, x.shape);
    },

    rotate(x, cos, sin) {
      if (!isSmall(x)) return undefined;
      kernelRuns('JavaScript', 'rotate');
      const out = read(x).slice();
      const c = read(cos);
      const s = read(sin);
      const [rows, heads, width] = x.shape;
      const half = cos.shape[1];
      for (let head = 0; head < rows * heads; head++) {
        const table = Math.floor(head / heads) * half;
        for (let i = 0; i < half; i++) {
          const at = head * width + i;
          const a = out[at];
          const b = out[at + half];
          out[at] = a * c[table + i] - b * s[table + i];
          out[at + half] = b * c[table + i] + a * s[table + i];
        }
      }
      return make(out, x.shape);
    },

    swiglu(gate, up) {
      if (!isSmall(gate)) return undefined;
      const product = kernels.swiglu(read(gate), read(up));
      return product && make(product, gate.shape);
    },

    softmax(x) {
      const width = x.shape.at(-1)!;
      if (width === 0 || elements(x.shape) > FEW_SCORES) return undefined;
      const result = kernels.softmax(read(x), width);
      return result && make(result, x.shape);
    },

    binary(op, a, b) {
      if (!isSmall(a)) return undefined;
      kernelRuns('JavaScript', op);
      const out = read(a).slice();
      const others = read(b);
      const period = others.length;
      for (let row = 0; row < out.length; row += period) {
        if (op === 'add') for (let i = 0; i < period; i++) out[row + i] += others[i];
        else if (op === 'sub') for (let i = 0; i < period; i++) out[row + i] -= others[i];
        else if (op === 'mul') for (let i = 0; i < period; i++) out[row + i] *= others[i];
        else if (op === 'div') for (let i = 0; i < period; i++) out[row + i] /= others[i];
        else if (op === 'maximum') for (let i = 0; i < period; i++) out[row + i] = Math.max(out[row + i], others[i]);
        else for (let i = 0; i < period; i++) out[row + i] = Math.min(out[row + i], others[i]);
      }
      return make(out, a.shape);
    },

    gather(a, indices) {
      const count = elements(indices.shape);
      const width = elements(a.shape.slice(1));
      if (a.handle.values === undefined || a.dtype !== 'f32' || count * width > SMALL) return undefined;
      kernelRuns('JavaScript', 'gather');
      const values = read(a);
      const out = new Float32Array(count * width);
      read(indices).forEach((index, i) => {
        out.set(values.subarray(index * width, (index + 1) * width), i * width);
      });
      return make(out, a.shape.with(0, count));
    },

    split(row, sizes) {
      if (!isSmall(row) || row.shape.at(-1) !== elements(row.shape)) return undefined;
      kernelRuns('JavaScript', 'split');
      const values = read(row);
      let from = 0;
      return sizes.map((size) => make(values.slice(from, (from += size)), row.shape.with(-1, size)));
    },
  };
}
