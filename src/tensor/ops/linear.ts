import { PackedParameter } from '../packed-parameter.ts';
import type { Parameter } from '../parameter.ts';
import { scope } from '../scope.ts';
import { Tensor } from '../tensor.ts';

/** One linear layer, or several with the same input whose weights are joined into one matrix, one below the other. */
export interface Linear {
  /** `[out, in]`, as checkpoints hold it: f32, bf16 or packed. */
  readonly weight: Parameter | PackedParameter;
  /** `[out]` */
  readonly bias: Parameter | undefined;
  /** The output size of each joined layer; they add up to `out`. */
  readonly sizes: readonly number[];
  /** The dtype to which the operands of the product are rounded; sums are f32 in any case. */
  readonly compute: 'f32' | 'bf16';
}

/** `x W^T + b`: `[T, in]` to `[T, out]`, f32. */
export function linear(x: Tensor, layer: Linear): Tensor {
  return scope('', () => {
    const product = multiply(x, layer); // [T, out]
    return layer.bias ? product.add(layer.bias.tensor) : product;
  });
}

/** The output of each joined layer: `[T, in]` to `[T, sizes[i]]`, f32. */
export function linears(x: Tensor, layer: Linear): Tensor[] {
  return scope('', () => linear(x, layer).split(layer.sizes));
}

function multiply(x: Tensor, { weight: parameter, compute }: Linear): Tensor {
  if (parameter instanceof PackedParameter) return parameter.multiply(x, compute);
  const weight = parameter.tensor;
  const fused = x.backend.fused.linear?.(x, weight, compute);
  if (fused !== undefined) return new Tensor(x.backend, fused, [x.shape[0], weight.shape[0]], 'f32');
  if (compute === 'f32') return x.matmul(weight.cast('f32'), { transposeB: true });
  return x.cast('bf16').matmul(weight.cast('bf16'), { transposeB: true }).cast('f32');
}

/** The weight as one dense f32 matrix `[out, in]`; a packed one is decoded. */
export function denseWeight({ weight }: Linear): Tensor {
  return weight instanceof PackedParameter ? weight.dense() : weight.tensor.cast('f32');
}
