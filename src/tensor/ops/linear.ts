import { askedCompute, type Compute } from '../compute.ts';
import { elements } from '../dtype.ts';
import type { Invariant } from '../invariant.ts';
import { PackedParameter } from '../packed-parameter.ts';
import type { Parameter } from '../parameter.ts';
import { scope } from '../scope.ts';
import { tapedWhole } from '../tape.ts';
import { concat, Tensor } from '../tensor.ts';

/** One linear layer, or several with the same input whose weights are joined into one matrix, one below the other. */
export interface Linear {
  /** `[out, in]`, as checkpoints hold it: f32, bf16 or packed. */
  readonly weight: Parameter | PackedParameter;
  /** `[out]` */
  readonly bias: Parameter | undefined;
  /** The output size of each joined layer; they add up to `out`. */
  readonly sizes: readonly number[];
  /** The dtype of the product's operands where a call asks for none. */
  readonly compute: Compute;
  /** Whether its product is in f32 whatever a call asks for: where small differences decide. Default false. */
  readonly isExact?: boolean;
}

/** The dtype of the operands of a layer's product: that which the call asks for, else its own. */
export const computeOf = ({ compute, isExact = false }: Linear): Compute =>
  isExact ? 'f32' : (askedCompute() ?? compute);

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

function multiply(x: Tensor, layer: Linear): Tensor {
  const compute = computeOf(layer);
  const { weight: parameter } = layer;
  const weight = parameter instanceof PackedParameter ? (parameter.tensor ?? parameter) : parameter.tensor;
  if (weight instanceof PackedParameter) return weight.multiply(x, compute);
  return tapedWhole(
    x,
    () => multiplyDense(x, weight, compute),
    (gradient) => pullDense(gradient, weight),
  );
}

function multiplyDense(x: Tensor, weight: Tensor, compute: Compute): Tensor {
  const fused = x.backend.fused.linear?.(x, weight, compute);
  if (fused !== undefined) return new Tensor(x.backend, fused, [x.shape[0], weight.shape[0]], 'f32');
  if (compute === 'bf16') return x.cast('bf16').matmul(weight.cast('bf16'), { transposeB: true }).cast('f32');
  if (weight.dtype === 'f32' || elements(weight.shape) <= MOST_WIDENED) return multiplyWidened(x, weight);
  const rows = Math.ceil(MOST_WIDENED / weight.shape[1]);
  const products: Tensor[] = [];
  for (let from = 0; from < weight.shape[0]; from += rows) {
    const size = [Math.min(rows, weight.shape[0] - from), weight.shape[1]];
    products.push(scope('', () => multiplyWidened(x, weight.slice([from, 0], size))));
  }
  return concat(products, 1);
}

/** Numbers of a weight that are widened to f32 at a time, 128 MiB: the head of a large vocabulary takes gigabytes. */
const MOST_WIDENED = 2 ** 25;

const multiplyWidened = (x: Tensor, weight: Tensor): Tensor => x.matmul(weight.cast('f32'), { transposeB: true });

/** The invariant that `output` is `input W^T + b`, by one dense product in f32; `weight` is what the formula calls W. */
export const productInvariant = (output: string, input: string, weight: string, layer: Linear): Invariant => ({
  formula: `${output} = ${input} ${weight}${layer.bias ? ' + bias' : ''}`,
  hooks: [output, input],
  tolerance: 1e-4,
  sides: (value) => {
    const product = value(input).matmul(denseWeight(layer), { transposeB: true });
    return [value(output), layer.bias ? product.add(layer.bias.tensor) : product];
  },
});

/** The gradient of `x` in `x W^T`: the gradient of the product times W, f32. */
function pullDense(gradient: Tensor, weight: Tensor): Tensor {
  if (weight.dtype === 'f32') return gradient.matmul(weight);
  const [out, columns] = weight.shape;
  const most = Math.ceil(MOST_WIDENED / columns);
  let sum: Tensor | undefined;
  for (let from = 0; from < out; from += most) {
    const rows = Math.min(most, out - from);
    const before = sum;
    sum = scope('', before ? [before] : [], () => {
      const panel = weight.slice([from, 0], [rows, columns]).cast('f32');
      const product = gradient.slice([0, from], [-1, rows]).matmul(panel);
      return before ? before.add(product) : product;
    });
  }
  return sum!;
}

/** The weight as one dense f32 matrix `[out, in]`; a packed one is decoded. */
export function denseWeight({ weight }: Pick<Linear, 'weight'>): Tensor {
  return weight instanceof PackedParameter ? weight.dense() : weight.tensor.cast('f32');
}
