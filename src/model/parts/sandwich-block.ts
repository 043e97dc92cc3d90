import { type HookPoint, under } from '../../tensor/hook-point.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { WeightDeclaration } from '../weights/weight-point.ts';
import {
  type Attention,
  type FeedForward,
  type Layer,
  postNormHooks,
  preNormHooks,
  RESIDUAL_HOOKS,
  RESIDUAL_INVARIANTS,
} from './block.ts';
import type { Norm } from './norm.ts';
import type { LayerStep } from './step.ts';

/** The block of Gemma 2 and 3: each sub-layer stands between two norms, one on what it reads and one on what it adds. */
export class SandwichBlock implements Layer {
  readonly attnNorm: Norm;
  readonly attn: Attention;
  readonly attnPostNorm: Norm;
  readonly mlpNorm: Norm;
  readonly mlp: FeedForward;
  readonly mlpPostNorm: Norm;

  constructor(parts: Pick<SandwichBlock, 'attnNorm' | 'attn' | 'attnPostNorm' | 'mlpNorm' | 'mlp' | 'mlpPostNorm'>) {
    this.attnNorm = parts.attnNorm;
    this.attn = parts.attn;
    this.attnPostNorm = parts.attnPostNorm;
    this.mlpNorm = parts.mlpNorm;
    this.mlp = parts.mlp;
    this.mlpPostNorm = parts.mlpPostNorm;
  }

  get hooks(): HookPoint[] {
    const { pre, attnIn, attnRead, attnOut, mid, mlpIn, mlpRead, mlpOut, post } = RESIDUAL_HOOKS;
    const [attnPost, mlpPost] = [
      postNormHooks('ln1_post', this.attnPostNorm),
      postNormHooks('ln2_post', this.mlpPostNorm),
    ];
    const attention = [
      attnIn,
      ...preNormHooks('ln1', this.attnNorm),
      attnRead,
      ...this.attn.hooks,
      ...attnPost,
      attnOut,
    ];
    const mlp = [mlpIn, ...preNormHooks('ln2', this.mlpNorm), mlpRead, ...this.mlp.hooks, ...mlpPost, mlpOut];
    return [pre, ...attention, mid, ...mlp, post];
  }

  get weightPoints(): WeightDeclaration[] {
    const attnNorms = [under('ln1', this.attnNorm.weightPoints), under('ln1_post', this.attnPostNorm.weightPoints)];
    const mlpNorms = [under('ln2', this.mlpNorm.weightPoints), under('ln2_post', this.mlpPostNorm.weightPoints)];
    const attention = [...attnNorms[0], ...this.attn.weightPoints, ...attnNorms[1]];
    return [...attention, ...mlpNorms[0], ...this.mlp.weightPoints, ...mlpNorms[1]];
  }

  get invariants(): Invariant[] {
    return [...this.attn.invariants, ...this.mlp.invariants, ...RESIDUAL_INVARIANTS];
  }

  forward(input: Tensor, step: LayerStep): Tensor {
    const x = tap('hook_resid_pre', input); //                                                             [T, D]
    const attnIn = tap('attn.hook_in', this.attnNorm.forward(tap('hook_attn_in', x), 'ln1'));
    const attnOut = tap('hook_attn_out', this.attnPostNorm.forward(this.attn.forward(attnIn, step), 'ln1_post'));
    const mid = tap('hook_resid_mid', x.add(attnOut));
    const mlpIn = tap('mlp.hook_in', this.mlpNorm.forward(tap('hook_mlp_in', mid), 'ln2'));
    const mlpOut = tap('hook_mlp_out', this.mlpPostNorm.forward(this.mlp.forward(mlpIn), 'ln2_post'));
    return tap('hook_resid_post', mid.add(mlpOut));
  }
}
