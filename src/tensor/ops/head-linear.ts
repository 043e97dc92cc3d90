import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';
import { computeOf, denseWeight, type Linear } from './linear.ts';

/**
 * Multiplies each head by a matrix of its own: `[T, H, a]` to `[T, H, b]`, f32. The weight `[H a, b]` holds the matrices
 * `[a, b]` of the heads one below the other; with `transposed` it is `[H b, a]` and they are `[b, a]`.
 */
export function headLinear(x: Tensor, layer: Linear, { transposed = false } = {}): Tensor {
  const [, H] = x.shape;
  const [rows, columns] = layer.weight.shape;
  return scope('', () => {
    const heads = x.transpose([1, 0, 2]); //                                               [H, T, a]
    const matrices = [H, rows / H, columns];
    const product =
      computeOf(layer) === 'f32'
        ? heads.matmul(denseWeight(layer).reshape(matrices), { transposeB: transposed })
        : heads.cast('bf16').matmul(narrow(layer).reshape(matrices), { transposeB: transposed }).cast('f32');
    return product.transpose([1, 0, 2]); //                                                [T, H, b]
  });
}

const narrow = (layer: Linear): Tensor => (layer.weight.tensor ?? denseWeight(layer)).cast('bf16');
