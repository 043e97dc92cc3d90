import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';
import { swiglu } from './swiglu.ts';

/**
 * The nonlinearity of an MLP. `gelu` is exact, by the error function; `gelu_tanh` is its approximation by tanh, which
 * configs call `gelu_new` or `gelu_pytorch_tanh` (both Hendrycks and Gimpel, 2016); `quick_gelu` is `x sigmoid(1.702 x)`;
 * `relu2` is `max(x, 0)^2`.
 */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'quick_gelu' | 'relu' | 'relu2';

const FORMULAS: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  silu: (x) => x.mul(x.sigmoid()),
  gelu: (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)),
  gelu_tanh: (x) => {
    const cubed = x.square().mul(x).mul(0.044715);
    const inner = x.add(cubed).mul(Math.sqrt(2 / Math.PI));
    return x.mul(0.5).mul(inner.tanh().add(1));
  },
  quick_gelu: (x) => x.mul(x.mul(1.702).sigmoid()),
  relu: (x) => x.maximum(0),
  relu2: (x) => x.maximum(0).square(),
};

/** The activation of each element, f32. */
export function activate(x: Tensor, activation: Activation): Tensor {
  return scope('', () => FORMULAS[activation](x));
}

/** `activation(gate) * up` (Shazeer, 2020), f32; the operands have one shape. */
export function gated(gate: Tensor, up: Tensor, activation: Activation): Tensor {
  return activation === 'silu' ? swiglu(gate, up) : scope('', () => activate(gate, activation).mul(up));
}
