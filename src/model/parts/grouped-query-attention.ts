// T new tokens, D model width, H query heads, K key/value heads, d head width.
import { type HookPoint, onlyIn, under } from '../../tensor/hook-point.ts';
import { attention, attentionHooks, attentionInvariants, mixtureInvariant } from '../../tensor/ops/attention.ts';
import {
  ATTENTION_OUTPUT_HOOKS,
  attentionOutput,
  attentionOutputInvariants,
} from '../../tensor/ops/attention-output.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { linears, type Linear } from '../../tensor/ops/linear.ts';
import { rotate } from '../../tensor/ops/rotate.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { scope } from '../../tensor/scope.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cacheHooks, cacheInvariants } from '../cache/key-values.ts';
import type { LayerLayout } from '../cache/kv-cache.ts';
import type { DecoderConfig } from '../config/decoder-config.ts';
import type { RopeConfig } from '../config/rope-config.ts';
import type { Arrangement } from '../weights/arrangement.ts';
import { layerWeights, outputWeights, type WeightDeclaration, wholeWeight } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';
import type { Attention } from './block.ts';
import { RmsNorm } from './norm.ts';
import type { LayerStep } from './step.ts';

/** The weights of one layer's attention. */
export interface AttentionWeights {
  /** `[(H + 2K) d, D]`, split into queries, keys and values. */
  readonly qkv: Linear;
  /** `[D, H d]` */
  readonly o: Linear;
  /** Norms on queries and keys before they are rotated: `[d]` for each head, or over all heads, `[H d]` and `[K d]`. */
  readonly qNorm?: RmsNorm | undefined;
  readonly kNorm?: RmsNorm | undefined;
  /** `[H]`: a logit for each head that takes part in the softmax and brings no value. */
  readonly sinks?: Parameter | undefined;
}

/**
 * Grouped-query attention (Ainslie et al., 2023; with K = H, multi-head attention). Families differ in data only: norms on
 * queries and keys, sinks, a bound of the scores, and layers that are rotated, windowed, or neither.
 */
export class GroupedQueryAttention implements Attention {
  readonly config: DecoderConfig;
  readonly weights: AttentionWeights;
  readonly rope: RopeConfig | undefined;
  readonly cacheLayout: LayerLayout;
  /** Factor on `q . k`. */
  readonly scale: number;

  /** @param scale Where it is not that of the whole model. */
  constructor(config: DecoderConfig, layer: number, weights: AttentionWeights, scale = config.attentionScale) {
    const { nKvHeads, headDim } = config;
    this.config = config;
    this.weights = weights;
    this.rope = config.ropes[layer];
    this.cacheLayout = { nKvHeads, keyDim: headDim, valueDim: headDim, window: config.windows[layer] };
    this.scale = scale;
  }

  get hooks(): HookPoint[] {
    const { qNorm, sinks } = this.weights;
    return [
      ...INPUT_HOOKS,
      ...(qNorm ? NORMED_HOOKS : []),
      ...(this.rope ? ROTATED_HOOKS : []),
      ...cacheHooks(this.cacheLayout),
      ...attentionHooks({ hasSinks: sinks !== undefined }),
      ...ATTENTION_OUTPUT_HOOKS,
    ];
  }

  get weightPoints(): WeightDeclaration[] {
    const { nHeads: H, nKvHeads: K, headDim: d } = this.config;
    const { qkv, o, qNorm, kNorm, sinks } = this.weights;
    const gain = (norm: RmsNorm, letter: string): WeightDeclaration[] =>
      norm.gainPoints(norm.weight.shape[0] === d ? 'd' : `${letter}*d`);
    return under('attn', [
      ...layerWeights(qkv, [
        { name: 'Q', axes: 'H D d', index: 0, heads: H, meaning: 'makes the queries of each head' },
        { name: 'K', axes: 'K D d', index: 1, heads: K, meaning: 'makes the keys of each key/value head' },
        { name: 'V', axes: 'K D d', index: 2, heads: K, meaning: 'makes the values of each key/value head' },
      ]),
      ...(qNorm ? under('q_norm', gain(qNorm, 'H')) : [{ name: 'q_norm.w', absence: 'queries are not normed' }]),
      ...(kNorm ? under('k_norm', gain(kNorm, 'K')) : [{ name: 'k_norm.w', absence: 'keys are not normed' }]),
      sinks
        ? wholeWeight('sinks', sinks, { axes: 'H', meaning: 'logit of attending to nothing' })
        : { name: 'sinks', absence: 'its heads cannot attend to nothing' },
      ...outputWeights(o, H),
    ]);
  }

  get invariants(): Invariant[] {
    const { sinks, o } = this.weights;
    return [
      ...cacheInvariants(this.cacheLayout),
      ...attentionInvariants({ hasSinks: sinks !== undefined, window: this.cacheLayout.window }),
      mixtureInvariant('attn.hook_z', 'kv.hook_v'),
      ...attentionOutputInvariants(o),
    ];
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d, attentionSoftCap: softCap } = this.config;
    const { qkv, o, qNorm, kNorm, sinks } = this.weights;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, qkv); //                                          [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])); //                                [T, H, d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])); //                                [T, K, d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                                [T, K, d]
      const normQ = qNorm ? tap('attn.hook_q_normed', qNorm.forwardHeads(q)) : q;
      const normK = kNorm ? tap('attn.hook_k_normed', kNorm.forwardHeads(k)) : k;
      const rope = this.rope && step.rotation(this.rope); // Absent in a layer without positions.
      const rotQ = rope ? tap('attn.hook_rot_q', rotate(normQ, rope)) : normQ;
      const rotK = rope ? tap('attn.hook_rot_k', rotate(normK, rope)) : normK;
      const options = { scale: this.scale, softCap, sinks: sinks?.tensor };
      const mixed = attention(rotQ, step.append(rotK, v), options); //                           [T, H, d]
      return attentionOutput(mixed, o); //                                                       [T, D]
    });
  }
}

const INPUT_HOOKS: readonly HookPoint[] = [
  { name: 'attn.hook_q', axes: 'p h e', meaning: 'queries' },
  { name: 'attn.hook_k', axes: 'p g e', meaning: 'keys' },
  { name: 'attn.hook_v', axes: 'p g e_v', meaning: 'values' },
];
const NORMED_HOOKS = onlyIn('layers with norms on queries and keys', [
  { name: 'attn.hook_q_normed', axes: 'p h e', meaning: 'queries after their norm' },
  { name: 'attn.hook_k_normed', axes: 'p g e', meaning: 'keys after their norm' },
]);
const ROTATED_HOOKS = onlyIn('layers with rotary positions outside of latent attention', [
  { name: 'attn.hook_rot_q', axes: 'p h e', meaning: 'queries after rotation' },
  { name: 'attn.hook_rot_k', axes: 'p g e', meaning: 'keys after rotation' },
]);

/** What differs between families in attention, beside numbers. */
export interface AttentionParts {
  /** Norms on queries and keys, one for each head or one over all heads together. Default: none. */
  readonly qkNorm?: 'head' | 'all heads';
  /** Makes the gains of these norms of the stored numbers. Default: they are the gains. */
  readonly gain?: Arrangement;
  /** Whether heads may attend to nothing: `sinks`. Default false. */
  readonly hasSinks?: boolean;
}

/** The attention of a layer, its weights by the names of Llama: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `q_norm`, `k_norm`. */
export function llamaAttention(
  config: DecoderConfig,
  layer: number,
  weights: Weights,
  { qkNorm, gain, hasSinks = false }: AttentionParts = {},
): GroupedQueryAttention {
  const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases, normEpsilon } = config;
  const norm = (name: string, heads: number): RmsNorm | undefined =>
    qkNorm && new RmsNorm(weights, name, qkNorm === 'head' ? d : heads * d, normEpsilon, gain);
  return new GroupedQueryAttention(config, layer, {
    qkv: weights.linear({ q_proj: H * d, k_proj: K * d, v_proj: K * d }, D, { bias: biases.qkv }),
    qNorm: norm('q_norm', H),
    kNorm: norm('k_norm', K),
    sinks: hasSinks ? weights.vector('sinks', H) : undefined,
    o: weights.linear({ o_proj: D }, H * d, { bias: biases.o }),
  });
}
