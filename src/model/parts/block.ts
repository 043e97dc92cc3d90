import type { Parameter } from '../../tensor/parameter.ts';
import { rmsNorm } from '../../tensor/ops/rms-norm.ts';
import type { Rotation } from '../../tensor/ops/rotate.ts';
import { tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { LayerCache } from '../step.ts';

/** `[T, D]` to `[T, D]`, with the tokens of before in the cache. */
export interface Attention {
  forward(x: Tensor, rope: Rotation, cache: LayerCache): Tensor;
}

/** The pre-norm block of Llama: each sub-layer reads a normed copy of the residual stream and adds to it. */
export class Block {
  readonly attnNorm: Parameter; // [D]
  readonly attn: Attention;
  readonly mlpNorm: Parameter; //  [D]
  readonly mlp: { forward(x: Tensor): Tensor };
  readonly normEpsilon: number;

  constructor(parts: Pick<Block, 'attnNorm' | 'attn' | 'mlpNorm' | 'mlp' | 'normEpsilon'>) {
    this.attnNorm = parts.attnNorm;
    this.attn = parts.attn;
    this.mlpNorm = parts.mlpNorm;
    this.mlp = parts.mlp;
    this.normEpsilon = parts.normEpsilon;
  }

  forward(input: Tensor, rope: Rotation, cache: LayerCache): Tensor {
    const x = tap('hook_resid_pre', input); //                                                        [T, D]
    const attnIn = tap('hook_attn_in', rmsNorm(x, this.attnNorm.tensor, this.normEpsilon, 'ln1'));
    const mid = tap('hook_resid_mid', x.add(tap('hook_attn_out', this.attn.forward(attnIn, rope, cache))));
    const mlpIn = tap('hook_mlp_in', rmsNorm(mid, this.mlpNorm.tensor, this.normEpsilon, 'ln2'));
    return tap('hook_resid_post', mid.add(tap('hook_mlp_out', this.mlp.forward(mlpIn))));
  }
}
