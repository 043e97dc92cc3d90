import { tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { LayerStep } from './step.ts';
import type { Norm } from './norm.ts';

/** `[T, D]` to `[T, D]`, with the tokens of before in the cache. */
export interface Attention {
  forward(x: Tensor, step: LayerStep): Tensor;
}

/** `[T, D]` to `[T, D]`, row by row. */
export interface FeedForward {
  forward(x: Tensor): Tensor;
}

/** The pre-norm block of Llama and GPT-2: each sub-layer reads a normed copy of the residual stream and adds to it. */
export class Block {
  readonly attnNorm: Norm;
  readonly attn: Attention;
  readonly mlpNorm: Norm;
  readonly mlp: FeedForward;
  /** Factor on what a sub-layer adds. */
  readonly residualScale: number;

  constructor(parts: Pick<Block, 'attnNorm' | 'attn' | 'mlpNorm' | 'mlp'> & { readonly residualScale?: number }) {
    this.attnNorm = parts.attnNorm;
    this.attn = parts.attn;
    this.mlpNorm = parts.mlpNorm;
    this.mlp = parts.mlp;
    this.residualScale = parts.residualScale ?? 1;
  }

  forward(input: Tensor, step: LayerStep): Tensor {
    const x = tap('hook_resid_pre', input); //                                                             [T, D]
    const attnIn = tap('hook_attn_in', this.attnNorm.forward(x, 'ln1'));
    const mid = tap('hook_resid_mid', x.add(tap('hook_attn_out', this.#scaled(this.attn.forward(attnIn, step)))));
    const mlpIn = tap('hook_mlp_in', this.mlpNorm.forward(mid, 'ln2'));
    return tap('hook_resid_post', mid.add(tap('hook_mlp_out', this.#scaled(this.mlp.forward(mlpIn)))));
  }

  #scaled(addition: Tensor): Tensor {
    return this.residualScale === 1 ? addition : addition.mul(this.residualScale);
  }
}
