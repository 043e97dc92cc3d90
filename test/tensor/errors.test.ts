import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../src/tensor/scope.ts';
import { concat, Tensor } from '../../src/tensor/tensor.ts';
import { Variable } from '../../src/tensor/variable.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';

const backend = new ReferenceBackend();
const other = new ReferenceBackend();
const ones = (...shape: number[]): Tensor =>
  Tensor.from(backend, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);

const [x, scalar, bf16, i32, elsewhere] = [
  ones(2, 3),
  ones(),
  ones(2, 3).cast('bf16'),
  Tensor.from(backend, Int32Array.of(0, 1)),
  Tensor.from(other, [1, 2, 3]),
];
const store = new Variable(backend, [2, 4]);
expectNothingLeft(() => backend);

// prettier-ignore
it.each<[what: string, () => unknown, message: string]>([
  ['values for another shape', () => Tensor.from(backend, [1, 2], [3]), 'Tensor.from: expected 3 values for [3], got 2.'],
  ['negative sizes', () => Tensor.from(backend, [1, 2], [-1, -2]), 'Tensor.from: expected 2 values for [-1, -2], got 2.'],
  ['shapes that do not broadcast', () => x.add(ones(2)), 'add: expected shapes that broadcast, got [2, 3] and [2]: axis 1 is 3 and 2.'],
  ['bf16 arithmetic', () => bf16.mul(2), "mul: expected f32, got bf16 [2, 3]. Use cast('f32')."],
  ['integer arithmetic', () => x.sub(i32), "sub: expected f32, got i32 [2]. Use cast('f32')."],
  ['two backends', () => x.div(elsewhere), 'div: expected tensors of one backend, got reference and reference.'],
  ['a function of bf16', () => bf16.exp(), "exp: expected f32, got bf16 [2, 3]. Use cast('f32')."],
  ['a sum of integers', () => i32.sum(), "sum: expected f32, got i32 [2]. Use cast('f32')."],
  ['an axis too far', () => x.mean(2), 'mean: expected an axis of a tensor with 2 axes, got 2.'],
  ['an axis too far from the end', () => x.max(-3), 'max: expected an axis of a tensor with 2 axes, got -3.'],
  ['half an axis', () => x.sum(0.5), 'sum: expected an axis of a tensor with 2 axes, got 0.5.'],
  ['softmax of a number', () => scalar.softmax(), 'softmax: expected an axis of a tensor with 0 axes, got -1.'],
  ['softmax of bf16', () => bf16.softmax(), "softmax: expected f32, got bf16 [2, 3]. Use cast('f32')."],
  ['a product of a vector', () => x.matmul(ones(3)), 'matmul: expected [..., M, K] and [..., K, N] with equal leading axes, got [2, 3] x [3].'],
  ['a product of two batches', () => ones(2, 1, 3).matmul(ones(4, 3, 1)), 'matmul: expected [..., M, K] and [..., K, N] with equal leading axes, got [2, 1, 3] x [4, 3, 1].'],
  ['inner sizes', () => x.matmul(x), 'matmul: expected equal inner sizes, got [2, 3] x [2, 3].'],
  ['inner sizes, transposed', () => x.matmul(ones(3, 2), { transposeB: true }), 'matmul: expected equal inner sizes, got [2, 3] x [3, 2] transposed.'],
  ['a product of two dtypes', () => x.matmul(bf16, { transposeB: true }), 'matmul: expected two f32 or two bf16 tensors, got f32 x bf16. Use cast().'],
  ['a product across backends', () => ones(1, 3).matmul(elsewhere.reshape([3, 1])), 'matmul: expected tensors of one backend, got reference and reference.'],
  ['reshape to more', () => x.reshape([7]), 'reshape: expected a shape of 6 elements for [2, 3], got [7].'],
  ['reshape that does not divide', () => x.reshape([4, -1]), 'reshape: expected a shape of 6 elements for [2, 3], got [4, -1].'],
  ['reshape with two open sizes', () => x.reshape([-1, -1]), 'reshape: expected a shape of 6 elements for [2, 3], got [-1, -1].'],
  ['reshape to negative sizes', () => x.reshape([-2, -3]), 'reshape: expected a shape of 6 elements for [2, 3], got [-2, -3].'],
  ['an order of too few axes', () => x.transpose([0]), 'transpose: expected an order of the axes of [2, 3], got [0].'],
  ['an order with an axis twice', () => x.transpose([0, 0]), 'transpose: expected an order of the axes of [2, 3], got [0, 0].'],
  ['an order with an axis too far', () => x.transpose([0, 2]), 'transpose: expected an order of the axes of [2, 3], got [0, 2].'],
  ['a box too large', () => x.slice([0, 1], [2, 3]), 'slice: expected a box in [2, 3], got begin [0, 1], size [2, 3].'],
  ['a box that begins before', () => x.slice([-1, 0], [1, 1]), 'slice: expected a box in [2, 3], got begin [-1, 0], size [1, 1].'],
  ['a box that begins behind the end', () => x.slice([3, 0], [-1, 1]), 'slice: expected a box in [2, 3], got begin [3, 0], size [-1, 1].'],
  ['a box of too few axes', () => x.slice([0], [1]), 'slice: expected a box in [2, 3], got begin [0], size [1].'],
  ['a box of halves', () => x.slice([0, 0.5], [1, 1]), 'slice: expected a box in [2, 3], got begin [0, 0.5], size [1, 1].'],
  ['pieces that are too much', () => x.split([2, 2]), 'split: expected sizes of axis 1 of [2, 3], got [2, 2].'],
  ['negative pieces', () => x.split([4, -1]), 'split: expected sizes of axis 1 of [2, 3], got [4, -1].'],
  ['an axis to split', () => x.split([2], 5), 'split: expected an axis of a tensor with 2 axes, got 5.'],
  ['float indices', () => x.gather(scalar), 'gather: expected i32 indices with one axis, got f32 [].'],
  ['an axis to gather', () => x.gather(i32, 2), 'gather: expected an axis of a tensor with 2 axes, got 2.'],
  ['gather across backends', () => elsewhere.gather(i32), 'gather: expected tensors of one backend, got reference and reference.'],
  ['a cast that no backend has', () => x.cast('f8_e4m3'), 'cast: expected f32, bf16, f16, i32, got f8_e4m3 for f32 [2, 3].'],
  ['a cast of integers', () => i32.cast('bf16'), 'cast: expected f32, got bf16 for i32 [2].'],
  ['concat of nothing', () => concat([]), 'concat: expected at least one tensor, got none.'],
  ['concat of other widths', () => concat([x, ones(2, 2)]), 'concat: expected f32 [2, 3] but for axis 0, got f32 [2, 2].'],
  ['concat of other ranks', () => concat([x, scalar]), 'concat: expected f32 [2, 3] but for axis 0, got f32 [].'],
  ['concat of dtypes', () => concat([x, bf16]), 'concat: expected f32 [2, 3] but for axis 0, got bf16 [2, 3].'],
  ['concat across backends', () => concat([ones(3), elsewhere]), 'concat: expected tensors of one backend, got reference and reference.'],
  ['a write past the end', () => { store.write([1, 0], x); }, 'Variable.write: expected an f32 box in [2, 4], got f32 [2, 3] at [1, 0].'],
  ['a write before the start', () => { store.write([0, -1], x); }, 'Variable.write: expected an f32 box in [2, 4], got f32 [2, 3] at [0, -1].'],
  ['a write of another rank', () => { store.write([0], ones(2)); }, 'Variable.write: expected an f32 box in [2, 4], got f32 [2] at [0].'],
  ['a write of bf16', () => { store.write([0, 0], bf16); }, 'Variable.write: expected an f32 box in [2, 4], got bf16 [2, 3] at [0, 0].'],
])('throws an error that says what was expected and what came, for %s', (_, body, message) => {
  const error = caught(() => scope('', body));
  expect(error).toBeInstanceOf(ShapeError);
  expect(error.message).toBe(message);
});

function caught(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  return expect.fail('expected an error');
}
