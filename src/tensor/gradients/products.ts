import type { Tensor } from '../tensor.ts';
import { rule, type Rule } from './rule.ts';

/** The rules of a matrix product, one for each operand; gradients are f32 where the operands are bf16. */
export const MATMUL_RULES: readonly Rule<{ readonly transposeB: boolean }>[] = [
  rule(['b'], (g, { b }, { settings: { transposeB } }) => g.matmul(b.cast('f32'), { transposeB: !transposeB })),
  rule(['a'], (g, { a }, { settings: { transposeB } }) => {
    const x = a.cast('f32');
    return transposeB ? transposed(g).matmul(x) : transposed(x).matmul(g);
  }),
];

/** Matrices with rows and columns exchanged. */
function transposed(x: Tensor): Tensor {
  const rank = x.shape.length;
  const order = x.shape.map((_, axis) => axis);
  return x.transpose([...order.slice(0, -2), rank - 1, rank - 2]);
}
