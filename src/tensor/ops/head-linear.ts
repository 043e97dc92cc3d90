import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';
import { denseWeight, type Linear } from './linear.ts';

/**
 * Each head through a matrix of its own: `x` `[T, H, a]` and a weight of H matrices one below the other, `[a, b]` each,
 * give `[T, H, b]`; f32. With `transposed` they are `[b, a]` each.
 */
export function headLinear(x: Tensor, layer: Linear, { transposed = false } = {}): Tensor {
  const [, H] = x.shape;
  const [rows, columns] = layer.weight.shape;
  return scope('', () => {
    const heads = x.transpose([1, 0, 2]); //                                               [H, T, a]
    const matrices = [H, rows / H, columns];
    const product =
      layer.compute === 'f32'
        ? heads.matmul(denseWeight(layer).reshape(matrices), { transposeB: transposed })
        : heads.cast('bf16').matmul(narrow(layer).reshape(matrices), { transposeB: transposed }).cast('f32');
    return product.transpose([1, 0, 2]); //                                                [T, H, b]
  });
}

const narrow = (layer: Linear): Tensor =>
  'tensor' in layer.weight ? layer.weight.tensor.cast('bf16') : denseWeight(layer).cast('bf16');
