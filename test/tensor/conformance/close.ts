import { expect } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { type F64, roundBf16 } from '../../support/f64-oracle.ts';

/** Largest difference from the f64 oracle, as a part of `scale`: the result itself, or the sum of its terms' sizes. */
export const TOLERANCE = {
  /** Bytes that move, and +, -, *, /, square, sqrt, casts: IEEE 754 rounds them once, the same everywhere. */
  exact: 0,
  /** exp, log, sigmoid and softmax: polynomials, good to some units in the last place of f32 (6e-8 each). */
  approximation: 1e-6,
  /** f32 sums of up to 300 terms in any order, part of the sum of the terms' sizes. */
  sum: 1e-6,
  /** The same, rounded to 8 bits: half a unit is 2^-9, and a sum near the middle may fall on either side. */
  bf16: 2 ** -8,
  /** Ops made of several of the above. */
  composed: 4e-6,
} as const;

/** Below f32's normal numbers a result may become 0: TensorFlow has the processor flush them. */
const SMALLEST_NORMAL = 2 ** -126;

/** Holds every element of `actual` to the oracle. `scale` defaults to the expected values. */
export function expectClose(actual: Tensor, expected: F64, tolerance: number, scale: F64 | number = expected): void {
  expect(actual.shape).toEqual(expected.shape);
  const values = actual.integers();
  expect(values.length).toBe(expected.values.length);
  expected.values.forEach((value, i) => {
    const got = values[i];
    const size = Math.abs(typeof scale === 'number' ? scale : scale.values[i]);
    const right =
      tolerance === 0 || !Number.isFinite(value)
        ? Object.is(got, Math.fround(value)) || got === Math.fround(value)
        : Math.abs(got - value) <= Math.max(tolerance * size, SMALLEST_NORMAL);
    if (!right)
      expect.fail(`[${i}] of [${actual.shape.join(', ')}]: expected ${value} within ${tolerance * size}, got ${got}`);
  });
}

/** How an operand came to be: a backend may keep a reshaped one in its old shape. */
export const MADE = ['whole', 'reshaped'] as const;
export type Made = (typeof MADE)[number];

/** The oracle's array as a tensor; values must be exact in `dtype`. */
export function tensor(
  backend: Backend,
  { shape, values }: F64,
  made: Made,
  dtype: 'f32' | 'bf16' | 'i32' = 'f32',
): Tensor {
  return scope('', () => {
    const numbers = dtype === 'i32' ? Int32Array.from(values) : Float32Array.from(values);
    const flat = made === 'whole' ? shape : [1, values.length];
    const uploaded = Tensor.from(backend, numbers, flat);
    const cast = dtype === 'bf16' ? uploaded.cast('bf16') : uploaded;
    return made === 'whole' ? cast : cast.reshape(shape);
  });
}

export const toBf16 = ({ shape, values }: F64): F64 => ({ shape, values: values.map(roundBf16) });

/** Runs `body` once per way to make operands, freeing what it makes. */
export function bothWays(body: (made: Made) => void): void {
  for (const made of MADE) {
    scope('', () => {
      body(made);
    });
  }
}
