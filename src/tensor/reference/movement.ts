import type { HostArray } from '../backend.ts';
import { elements } from '../dtype.ts';
import { type Shape, stridesOf } from '../shape.ts';

/** A new array of `length` zeros, of the same type as `like`. */
export function emptyLike<A extends HostArray>(like: A, length: number): A {
  return new (like.constructor as new (length: number) => A)(length);
}

/** Copies a box of `size` from one row-major array to another; `at` is where the box starts in each. */
export function copyBox(
  source: { values: HostArray; shape: Shape; at: Shape },
  target: { values: HostArray; shape: Shape; at: Shape },
  size: Shape,
): void {
  if (elements(size) === 0) return;
  const rank = size.length;
  const sourceSteps = stridesOf(source.shape);
  const targetSteps = stridesOf(target.shape);
  const run = rank === 0 ? 1 : size[rank - 1];
  const index = new Array<number>(rank).fill(0);
  for (;;) {
    const from = index.reduce((sum, i, axis) => sum + (source.at[axis] + i) * sourceSteps[axis], 0);
    const to = index.reduce((sum, i, axis) => sum + (target.at[axis] + i) * targetSteps[axis], 0);
    target.values.set(source.values.subarray(from, from + run), to);
    let axis = rank - 2;
    while (axis >= 0 && ++index[axis] === size[axis]) index[axis--] = 0;
    if (axis < 0) return;
  }
}

/** Axis i of the result is axis `permutation[i]` of the row-major array. */
export function transpose(values: HostArray, shape: Shape, permutation: readonly number[]): HostArray {
  const out = emptyLike(values, values.length);
  const strides = stridesOf(shape);
  const steps = permutation.map((axis) => strides[axis]);
  const sizes = permutation.map((axis) => shape[axis]);
  const index = new Array<number>(sizes.length).fill(0);
  for (let o = 0, i = 0; o < out.length; o++) {
    out[o] = values[i];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      i += steps[axis];
      if (++index[axis] < sizes[axis]) break;
      i -= steps[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/** Slices of a row-major array along `axis`; all indices are within it. */
export function gather(values: HostArray, shape: Shape, indices: Int32Array, axis: number): HostArray {
  const inner = elements(shape.slice(axis + 1));
  const outer = elements(shape.slice(0, axis));
  const out = emptyLike(values, outer * indices.length * inner);
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (const index of indices) {
      const from = (o * shape[axis] + index) * inner;
      out.set(values.subarray(from, from + inner), to);
      to += inner;
    }
  }
  return out;
}
