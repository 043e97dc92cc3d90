import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../src/tensor/scope.ts';
import { einsum } from '../../src/tensor/array/einsum.ts';
import { stack } from '../../src/tensor/array/stack.ts';
import { where } from '../../src/tensor/array/where.ts';
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
  ['a product of a number', () => x.matmul(scalar), 'matmul: expected vectors or matrices, got [2, 3] x [].'],
  ['a product of a vector', () => x.matmul(ones(2)), 'matmul: expected equal inner sizes, got [2, 3] x [1, 2] transposed.'],
  ['a product of two batches', () => ones(2, 1, 3).matmul(ones(4, 3, 1)), 'matmul of [2, 1, 3] x [4, 3, 1]: expected shapes that broadcast, got [2] and [4]: axis 0 is 2 and 4.'],
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
  ['float indices', () => x.gather(scalar), 'gather: expected i32 indices, got f32 [].'],
  ['an axis to gather', () => x.gather(i32, 2), 'gather: expected an axis of a tensor with 2 axes, got 2.'],
  ['gather across backends', () => elsewhere.gather(i32), 'gather: expected tensors of one backend, got reference and reference.'],
  ['an index beyond the end', () => x.gather(i32.reshape([1, 2]).newTensor(Int32Array.of(0, 2))), 'gather: expected a whole number from -2 to 1 for axis 0 of [2, 3], got 2.'],
  ['an index before the beginning', () => x.gather([0, -4], 1), 'gather: expected a whole number from -3 to 2 for axis 1 of [2, 3], got -4.'],
  ['half an index', () => x.gather([0.5]), 'gather: expected a whole number from -2 to 1 for axis 0 of [2, 3], got 0.5.'],
  ['a place beyond the end', () => x.at(2), 'at: expected a whole number from -2 to 1 for axis 0 of [2, 3], got 2.'],
  ['a place before the beginning', () => x.at(':', -4), 'at: expected a whole number from -3 to 2 for axis 1 of [2, 3], got -4.'],
  ['half a place', () => x.at(0.5), 'at: expected a whole number from -2 to 1 for axis 0 of [2, 3], got 0.5.'],
  ['more places than axes', () => x.at(0, 0, 0), 'at: expected up to 2 indices, got 0, 0, 0 for [2, 3].'],
  ['a place in a number', () => scalar.at(0), 'at: expected up to 0 indices, got 0 for [].'],
  ['two gaps', () => x.at('...', 0, '...'), 'at: expected \'...\' once, got "...", 0, "..." for [2, 3].'],
  ['a step of 0', () => x.at('::0'), 'at: expected a step other than 0, got "::0".'],
  ['an axis twice', () => x.sum([0, -2]), 'sum: expected each axis once, got [0, -2].'],
  ['an axis of a number', () => scalar.max(0), 'max: expected an axis of a tensor with 0 axes, got 0.'],
  ['an axis of several', () => x.var([0, 2]), 'var: expected an axis of a tensor with 2 axes, got 2.'],
  ['k beyond the axis', () => x.topk(4), 'topk: expected k up to 3, the size of axis 1 of [2, 3], got 4.'],
  ['the largest of nothing', () => ones(0, 3).argmax(), 'argmax: expected at least one number along the axis, got [0, 3].'],
  ['the smallest along an axis of nothing', () => ones(3, 0).argmin(1), 'argmin: expected at least one number along the axis, got [3, 0].'],
  ['places of another shape', () => x.takeAlong(i32, 1), 'takeAlong: expected i32 indices of shape [2, 3] but for axis 1, got i32 [2].'],
  ['places of floats', () => x.takeAlong(x, 1), 'takeAlong: expected i32 indices of shape [2, 3] but for axis 1, got f32 [2, 3].'],
  ['places beyond the axis', () => x.takeAlong(i32.newTensor(Int32Array.of(0, 3), [2, 1]), 1), 'takeAlong: expected a whole number from -3 to 2 for axis 1 of [2, 3], got 3.'],
  ['an axis that is not of size 1', () => x.squeeze(0), 'squeeze: expected size 1, got 2 for axis 0 of [2, 3].'],
  ['a new axis too far', () => x.unsqueeze(3), 'unsqueeze: expected an axis of a tensor with 3 axes, got 3.'],
  ['a shape to which nothing broadcasts', () => x.broadcastTo([3, 3]), 'broadcastTo: expected a shape that broadcasts to [3, 3], got [2, 3].'],
  ['fewer axes to broadcast to', () => x.broadcastTo([3]), 'broadcastTo: expected a shape that broadcasts to [3], got [2, 3].'],
  ['the number of several', () => x.item(), 'item: expected one number, got [2, 3]. Use toArray().'],
  ['the rows of a number', () => [...scalar], 'iteration: expected a tensor with an axis, got [].'],
  ['rows of two lengths', () => Tensor.from(backend, [[1, 2], [3]]), 'Tensor.from: expected rows of one shape, got [2] at 0 and [1] at 1.'],
  ['an operand of rows of two lengths', () => x.add([[1], [2, 3]]), 'add: expected rows of one shape, got [1] at 0 and [2] at 1.'],
  ['a comparison of shapes that do not broadcast', () => x.less([1, 2]), 'less: expected shapes that broadcast, got [2, 3] and [2]: axis 1 is 3 and 2.'],
  ['a choice of shapes that do not broadcast', () => where(x, [1, 2], 0), 'where: expected shapes that broadcast, got [2, 3] and [2]: axis 1 is 3 and 2.'],
  ['a choice of two dtypes', () => where(x, ones(2, 3), i32.at(0)), 'concat: expected f32 [6] but for axis 0, got i32 [6].'],
  ['a stack of nothing', () => stack([]), 'concat: expected at least one tensor, got none.'],
  ['a stack of two shapes', () => stack([x, ones(2)]), 'concat: expected f32 [1, 2, 3] but for axis 0, got f32 [1, 2].'],
  ['letters for another number of operands', () => einsum('ij,jk->ik', x), 'einsum: expected letters for 1 operands, got "ij,jk->ik" for [2, 3].'],
  ['letters for other axes', () => einsum('i->i', x), 'einsum: expected a letter for each axis of operand 0, got "i->i" for [2, 3].'],
  ['a letter with two sizes', () => einsum('ii', x), 'einsum: expected one size for "i", not 2 and 3, got "ii" for [2, 3].'],
  ['a result of other letters', () => einsum('ij->ik', x), 'einsum: expected a result of letters that operands have, each once, got "ij->ik" for [2, 3].'],
  ['a result with a letter twice', () => einsum('ij->ii', x), 'einsum: expected a result of letters that operands have, each once, got "ij->ii" for [2, 3].'],
  ['an equation of other characters', () => einsum('i1->i', x), 'einsum: expected letters for each operand, such as "ij,jk->ik", got "i1->i" for [2, 3].'],
  ['two arrows', () => einsum('ij->i->j', x), 'einsum: expected letters for each operand, such as "ij,jk->ik", got "ij->i->j" for [2, 3].'],
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
