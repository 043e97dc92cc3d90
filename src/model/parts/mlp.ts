import { activate, type Activation, gated } from '../../tensor/ops/activation.ts';
import { linear, linears, type Linear } from '../../tensor/ops/linear.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Weights } from '../weights/weights.ts';

/** Gated feed-forward layer: `down(act(gate(x)) * up(x))`. */
export class GatedMlp {
  readonly gateUp: Linear; // [2F, D]
  readonly down: Linear; //   [D, F]
  readonly activation: Activation;
  /** Prefix of its taps. */
  readonly name: string;

  constructor(layers: { readonly gateUp: Linear; readonly down: Linear }, activation: Activation, name = 'mlp') {
    this.gateUp = layers.gateUp;
    this.down = layers.down;
    this.activation = activation;
    this.name = name;
  }

  /** `[T, D]` to `[T, D]`. */
  forward(x: Tensor): Tensor {
    return scope(this.name, () => {
      const [gate, up] = linears(x, this.gateUp); //                                       [T, F] twice
      const pre = tap('hook_pre', gate);
      const preLinear = tap('hook_pre_linear', up);
      const post = tap('hook_post', gated(pre, preLinear, this.activation)); //            [T, F]
      return tap('hook_out', linear(post, this.down)); //                                  [T, D]
    });
  }
}

/** A gated MLP under Llama's names: `gate_proj`, `up_proj`, `down_proj`. */
export function gatedMlp(
  weights: Weights,
  sizes: { readonly dim: number; readonly mlpDim: number; readonly activation: Activation },
  bias = false,
  name = 'mlp',
): GatedMlp {
  const { dim: D, mlpDim: F, activation } = sizes;
  const gateUp = weights.joined([['gate_proj', F], ['up_proj', F]], D, bias); // prettier-ignore
  return new GatedMlp({ gateUp, down: weights.linear('down_proj', D, F, bias) }, activation, name);
}

/** Feed-forward layer without a gate: `down(act(up(x)))`. */
export class PlainMlp {
  readonly up: Linear; //   [F, D]
  readonly down: Linear; // [D, F]
  readonly activation: Activation;

  constructor(layers: { readonly up: Linear; readonly down: Linear }, activation: Activation) {
    this.up = layers.up;
    this.down = layers.down;
    this.activation = activation;
  }

  /** `[T, D]` to `[T, D]`. */
  forward(x: Tensor): Tensor {
    return scope('', () => {
      const pre = tap('mlp.hook_pre', linear(x, this.up)); //                              [T, F]
      const post = tap('mlp.hook_post', activate(pre, this.activation)); //                [T, F]
      return tap('mlp.hook_out', linear(post, this.down)); //                              [T, D]
    });
  }
}
