import { linear, linears, type Linear } from '../../tensor/ops/linear.ts';
import { swiglu } from '../../tensor/ops/swiglu.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Weights } from '../weights.ts';

/** Gated feed-forward layer: `down(silu(gate(x)) * up(x))`. */
export class Mlp {
  readonly gateUp: Linear; // [2F, D]
  readonly down: Linear; //   [D, F]

  constructor(weights: Weights, { dim: D, mlpDim: F, bias = false }: { dim: number; mlpDim: number; bias?: boolean }) {
    this.gateUp = weights.joined([['gate_proj', F], ['up_proj', F]], D, bias); // prettier-ignore
    this.down = weights.linear('down_proj', D, F, bias);
  }

  /** `[T, D]` to `[T, D]`. */
  forward(x: Tensor): Tensor {
    return scope('', () => {
      const [gate, up] = linears(x, this.gateUp); //                                      [T, F] twice
      const pre = tap('mlp.hook_pre', gate);
      const preLinear = tap('mlp.hook_pre_linear', up);
      const post = tap('mlp.hook_post', swiglu(pre, preLinear)); //                       [T, F]
      return tap('mlp.hook_out', linear(post, this.down)); //                             [T, D]
    });
  }
}
