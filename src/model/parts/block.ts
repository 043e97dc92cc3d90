import { type HookPoint, onlyIn, under } from '../../tensor/hook-point.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { LayerLayout } from '../cache/kv-cache.ts';
import type { WeightDeclaration } from '../weights/weight-point.ts';
import type { Norm } from './norm.ts';
import type { LayerStep } from './step.ts';

/** `[T, D]` to `[T, D]`, each row attending to the tokens before it, which the cache holds. */
export interface Attention {
  /** Its hook points, in the order of the pass. */
  readonly hooks: readonly HookPoint[];
  readonly weightPoints: readonly WeightDeclaration[];
  /** What holds between them. */
  readonly invariants: readonly Invariant[];
  /** The numbers that it caches for each token. */
  readonly cacheLayout: LayerLayout;
  forward(x: Tensor, step: LayerStep): Tensor;
}

/** `[T, D]` to `[T, D]`, row by row. */
export interface FeedForward {
  /** Its hook points, in the order of the pass. */
  readonly hooks: readonly HookPoint[];
  readonly weightPoints: readonly WeightDeclaration[];
  /** What holds between them. */
  readonly invariants: readonly Invariant[];
  forward(x: Tensor): Tensor;
}

/** One layer on the residual stream: `[T, D]` to `[T, D]`. */
export interface Layer {
  /** Its hook points, in the order of the pass. */
  readonly hooks: readonly HookPoint[];
  /** Its weights, in the order of the pass; so are those of its parts. */
  readonly weightPoints: readonly WeightDeclaration[];
  /** What holds between them. */
  readonly invariants: readonly Invariant[];
  readonly attn: Attention;
  forward(x: Tensor, step: LayerStep): Tensor;
}

/** The hook points on the residual stream, which every block has but for `mid`. */
export const RESIDUAL_HOOKS = {
  pre: { name: 'hook_resid_pre', axes: 'p d', meaning: 'residual stream before the block' },
  attnIn: {
    name: 'hook_attn_in',
    axes: 'p d',
    meaning: "attention's input before its norm; an edit acts on attention alone",
  },
  attnRead: {
    name: 'attn.hook_in',
    axes: 'p d',
    meaning: 'what attention reads: after its norm, where one is in front',
  },
  attnOut: { name: 'hook_attn_out', axes: 'p d', meaning: 'what attention adds to the residual stream' },
  mid: {
    name: 'hook_resid_mid',
    axes: 'p d',
    meaning: 'residual stream between attention and MLP',
    only: 'blocks whose MLP reads what attention has added',
  },
  mlpIn: {
    name: 'hook_mlp_in',
    axes: 'p d',
    meaning: "the MLP's input before its norm; an edit acts on the MLP alone",
  },
  mlpRead: { name: 'mlp.hook_in', axes: 'p d', meaning: 'what the MLP reads: after its norm, where one is in front' },
  mlpOut: { name: 'hook_mlp_out', axes: 'p d', meaning: 'what the MLP adds to the residual stream' },
  post: { name: 'hook_resid_post', axes: 'p d', meaning: 'residual stream after the block' },
} as const satisfies Record<string, HookPoint>;

/** The invariant that an activation is the sum of others, added in this order: equal to the bit. */
export const sumInvariant = (sum: string, first: string, ...others: readonly string[]): Invariant => ({
  formula: `${sum} = ${[first, ...others].join(' + ')}`,
  hooks: [sum, first, ...others],
  tolerance: 0,
  sides: (value) => [value(sum), others.reduce((total, hook) => total.add(value(hook)), value(first))],
});

/** The invariants of the residual stream where the MLP reads what attention has added. */
export const RESIDUAL_INVARIANTS: readonly Invariant[] = [
  sumInvariant('hook_resid_mid', 'hook_resid_pre', 'hook_attn_out'),
  sumInvariant('hook_resid_post', 'hook_resid_mid', 'hook_mlp_out'),
];

/** The hook points of a norm in front of a sub-layer, under `ln1` or `ln2`. */
export const preNormHooks = (path: string, norm: Norm): HookPoint[] =>
  onlyIn('blocks with a norm in front of each sub-layer', under(path, norm.hooks));

/** The hook points of a norm on what a sub-layer adds, under `ln1_post` or `ln2_post`. */
export const postNormHooks = (path: string, norm: Norm): HookPoint[] =>
  onlyIn('blocks with a norm on what each sub-layer adds', under(path, norm.hooks));

/** The pre-norm block of Llama and GPT-2: each sub-layer reads a normed copy of the residual stream and adds to it. */
export class Block implements Layer {
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

  get hooks(): HookPoint[] {
    const { pre, attnIn, attnRead, attnOut, mid, mlpIn, mlpRead, mlpOut, post } = RESIDUAL_HOOKS;
    const attention = [attnIn, ...preNormHooks('ln1', this.attnNorm), attnRead, ...this.attn.hooks, attnOut];
    const mlp = [mlpIn, ...preNormHooks('ln2', this.mlpNorm), mlpRead, ...this.mlp.hooks, mlpOut];
    return [pre, ...attention, mid, ...mlp, post];
  }

  get weightPoints(): WeightDeclaration[] {
    const [ln1, ln2] = [under('ln1', this.attnNorm.weightPoints), under('ln2', this.mlpNorm.weightPoints)];
    return [...ln1, ...this.attn.weightPoints, ...ln2, ...this.mlp.weightPoints];
  }

  get invariants(): Invariant[] {
    return [...this.attn.invariants, ...this.mlp.invariants, ...RESIDUAL_INVARIANTS];
  }

  forward(input: Tensor, step: LayerStep): Tensor {
    const x = tap('hook_resid_pre', input); //                                                             [T, D]
    const attnIn = tap('attn.hook_in', this.attnNorm.forward(tap('hook_attn_in', x), 'ln1'));
    const mid = tap('hook_resid_mid', x.add(tap('hook_attn_out', this.#scaled(this.attn.forward(attnIn, step)))));
    const mlpIn = tap('mlp.hook_in', this.mlpNorm.forward(tap('hook_mlp_in', mid), 'ln2'));
    return tap('hook_resid_post', mid.add(tap('hook_mlp_out', this.#scaled(this.mlp.forward(mlpIn)))));
  }

  #scaled(addition: Tensor): Tensor {
    return this.residualScale === 1 ? addition : addition.mul(this.residualScale);
  }
}
