// T new tokens, D model width, H heads, rq query rank, r latent rank, dn + dr numbers of a query head of which dr are rotated,
// dv value width.
import { type HookPoint, onlyIn, type ReadOnly } from '../../tensor/hook-point.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { attention, attentionHooks, attentionInvariants, mixtureInvariant } from '../../tensor/ops/attention.ts';
import {
  ATTENTION_OUTPUT_HOOKS,
  attentionOutput,
  attentionOutputInvariants,
} from '../../tensor/ops/attention-output.ts';
import { headLinear } from '../../tensor/ops/head-linear.ts';
import { linear, type Linear } from '../../tensor/ops/linear.ts';
import { rmsNorm } from '../../tensor/ops/rms-norm.ts';
import { rotate, type Rotation } from '../../tensor/ops/rotate.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { scope } from '../../tensor/scope.ts';
import { derive, tap, watched } from '../../tensor/tap.ts';
import { concat, type Tensor } from '../../tensor/tensor.ts';
import { type Arrangement, rows } from '../weights/arrangement.ts';
import { cacheHooks, cacheInvariants } from '../cache/key-values.ts';
import type { LayerLayout } from '../cache/kv-cache.ts';
import type { DecoderConfig, LatentConfig } from '../config/decoder-config.ts';
import { latentWeights } from './latent-weights.ts';
import type { LayerStep } from './step.ts';
import type { WeightDeclaration } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';
import type { Attention } from './block.ts';
import type { RopeConfig } from '../config/rope-config.ts';

/** Settings of latent attention, in both of its forms. */
export interface LatentOptions {
  readonly config: DecoderConfig & { readonly latent: LatentConfig };
  readonly rope: RopeConfig;
  /** Whether the file has neighbours rotated together, 2i and 2i + 1, instead of i and i + dr / 2. */
  readonly interleaved: boolean;
  /** Whether the projections from and to the residual stream have biases. */
  readonly bias: boolean;
}

/** Multi-head latent attention in the form that the config asks for (DeepSeek-V2, arXiv 2405.04434, section 2.1). */
export function latentAttention(weights: Weights, options: LatentOptions): Attention {
  return options.config.latent.absorbed
    ? new AbsorbedAttention(weights, options)
    : new NaiveAttention(weights, options);
}

/** The layers that have the hooks of latents. */
const LATENT = 'layers with latent attention';
const ABSORBED = "layers with latent attention in its absorbed form (mla: 'absorbed')";
const QUERY_LATENT_HOOK: HookPoint = {
  name: 'attn.hook_q_latent',
  axes: 'p r_q',
  meaning: 'latent of the queries, after its norm',
  only: 'layers with latent attention and queries of low rank',
};

/** A layer caches a latent and a rotary part that all heads share, or keys and values of every head. */
function latentLayout({ nHeads, latent }: LatentOptions['config']): LayerLayout {
  const { rank, nopeDim, ropeDim, valueDim, absorbed } = latent;
  return absorbed
    ? { nKvHeads: 1, keyDim: rank + ropeDim, valueDim: 0, latentDim: rank, window: Infinity }
    : { nKvHeads: nHeads, keyDim: nopeDim + ropeDim, valueDim, window: Infinity };
}

/** The norms inside do not follow the config's epsilon. */
const EPSILON = 1e-6;

/** Queries, and the latent that keys and values are made of. */
class Inputs {
  readonly config: LatentOptions['config'];
  readonly qA: Linear | undefined; //        [rq, D], where queries have a low rank
  readonly qNorm: Parameter | undefined; //  [rq]
  readonly q: Linear; //                     [H (dn + dr), rq or D]
  readonly kvA: Linear; //                   [r + dr, D]
  readonly kvNorm: Parameter; //             [r]

  constructor(weights: Weights, { config, interleaved, bias }: LatentOptions) {
    const { dim: D, nHeads: H, latent } = config;
    const { queryRank: rq, rank: r, nopeDim: dn, ropeDim: dr } = latent;
    const rotary = (heads: number, plain: number) =>
      interleaved ? interleavedToHalfSplit(heads, plain, dr) : undefined;
    this.config = config;
    if (rq !== undefined) {
      this.qA = weights.linear({ q_a_proj: rq }, D, { bias });
      this.qNorm = weights.vector('q_a_layernorm.weight', rq);
    }
    const q = rq === undefined ? 'q_proj' : 'q_b_proj';
    this.q = weights.linear({ [q]: H * (dn + dr) }, rq ?? D, { arrangement: rotary(H, dn) });
    this.kvA = weights.linear({ kv_a_proj_with_mqa: r + dr }, D, { bias, arrangement: rotary(1, r) });
    this.kvNorm = weights.vector('kv_a_layernorm.weight', r);
  }

  get hooks(): HookPoint[] {
    return onlyIn(LATENT, [
      ...(this.qA ? [QUERY_LATENT_HOOK] : []),
      { name: 'attn.hook_q_nope', axes: 'p h e_n', meaning: 'part of the queries that is not rotated' },
      { name: 'attn.hook_q_rope', axes: 'p h e_r', meaning: 'rotary part of the queries, rotated' },
    ]);
  }

  /** The part of each query that is not rotated `[T, H, dn]`, and the rotary part `[T, H, dr]`. */
  queries(x: Tensor, rope: Rotation): [nope: Tensor, rope: Tensor] {
    const { nHeads: H, latent } = this.config;
    const input =
      this.qA && this.qNorm
        ? tap('attn.hook_q_latent', rmsNorm(linear(x, this.qA), this.qNorm.tensor, EPSILON)) // [T, rq]
        : x;
    const heads = linear(input, this.q).reshape([-1, H, latent.nopeDim + latent.ropeDim]); //      [T, H, dn + dr]
    const [nope, rotary] = heads.split([latent.nopeDim, latent.ropeDim]);
    return [tap('attn.hook_q_nope', nope), tap('attn.hook_q_rope', rotate(rotary, rope))];
  }

  /** The latent `[T, r]`, and the rotary part of the key, one for all heads `[T, 1, dr]`. */
  latents(x: Tensor, rope: Rotation): [latent: Tensor, rope: Tensor] {
    const { rank: r, ropeDim: dr } = this.config.latent;
    const [compressed, rotary] = linear(x, this.kvA).split([r, dr]); //                           [T, r], [T, dr]
    const latent = tap('attn.hook_kv_latent', rmsNorm(compressed, this.kvNorm.tensor, EPSILON));
    return [latent, tap('attn.hook_k_rope', rotate(rotary.reshape([-1, 1, dr]), rope))];
  }
}

/**
 * Caches latents and attends to them: `W_UK` is multiplied into the query and `W_UV` into the result, so that no key and
 * no value is ever made. All heads read one key, of which the first r numbers are also the value.
 */
class AbsorbedAttention implements Attention {
  readonly inputs: Inputs;
  readonly options: LatentOptions;
  readonly cacheLayout: LayerLayout;
  readonly keyUp: Linear; //   [H dn, r]
  readonly valueUp: Linear; // [H dv, r]
  readonly o: Linear; //       [D, H dv]

  constructor(weights: Weights, options: LatentOptions) {
    const { dim: D, nHeads: H, latent } = options.config;
    const { rank: r, nopeDim: dn, valueDim: dv } = latent;
    this.options = options;
    this.cacheLayout = latentLayout(options.config);
    this.inputs = new Inputs(weights, options);
    // Both are read by head, in numbers, so each takes its rows of the stored matrix.
    const up = (from: number, count: number): Linear =>
      weights.linear({ kv_b_proj: H * count }, r, {
        arrangement: rows(rowsOfHeads(H, dn + dv, from, count), H * (dn + dv)),
        hold: 'numbers',
      });
    this.keyUp = up(0, dn);
    this.valueUp = up(dn, dv);
    this.o = weights.linear({ o_proj: D }, H * dv, { bias: options.bias });
  }

  get hooks(): HookPoint[] {
    const readOnly = (...instead: string[]): ReadOnly => ({ instead, or: "load the model with mla: 'naive'" });
    return [
      ...this.inputs.hooks,
      { name: 'attn.hook_q', axes: 'p h e', meaning: 'queries, rotary part last', derived: true },
      ...LATENT_HOOKS,
      {
        name: 'attn.hook_k',
        axes: 'p h e',
        meaning: 'keys made of the latent',
        derived: true,
        readOnly: readOnly('attn.hook_kv_latent', 'attn.hook_k_rope'),
      },
      {
        name: 'attn.hook_v',
        axes: 'p h e_v',
        meaning: 'values made of the latent',
        derived: true,
        readOnly: readOnly('attn.hook_kv_latent'),
      },
      {
        name: 'attn.hook_q_absorbed',
        axes: 'p h r_kv',
        meaning: 'queries times W_UK: what is compared with latents',
        only: ABSORBED,
      },
      ...cacheHooks(this.cacheLayout),
      ...attentionHooks({ hasSinks: false }),
      { name: 'attn.hook_ctx_latent', axes: 'p h r_kv', meaning: 'mixed latents, before W_UV', only: ABSORBED },
      ...ATTENTION_OUTPUT_HOOKS,
    ];
  }

  get weightPoints(): WeightDeclaration[] {
    const { keyUp, valueUp, o } = this;
    return latentWeights(this.inputs, { key: keyUp, value: valueUp }, o);
  }

  get invariants(): Invariant[] {
    return [
      ...cacheInvariants(this.cacheLayout),
      ...attentionInvariants({ hasSinks: false, window: Infinity }),
      mixtureInvariant('attn.hook_ctx_latent', 'kv.hook_latent'),
      {
        formula: 'attn.hook_z = attn.hook_ctx_latent W_UV',
        hooks: ['attn.hook_z', 'attn.hook_ctx_latent'],
        tolerance: 1e-4,
        sides: (value) => [
          value('attn.hook_z'),
          headLinear(value('attn.hook_ctx_latent'), this.valueUp, { transposed: true }),
        ],
      },
      ...attentionOutputInvariants(this.o),
    ];
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { latent: sizes, attentionScale: scale } = this.options.config;
    const { rank: r } = sizes;
    const rope = step.rotation(this.options.rope);
    return scope('', () => {
      const [qNope, qRope] = this.#shownQueries(...this.inputs.queries(x, rope)); //               [T, H, dn], [T, H, dr]
      const [latent, kRope] = this.inputs.latents(x, rope); //                                     [T, r], [T, 1, dr]
      this.#showExpanded(latent, kRope);
      const absorbed = tap('attn.hook_q_absorbed', headLinear(qNope, this.keyUp)); //              [T, H, r]
      const cached = step.append(concat([latent.reshape([-1, 1, r]), kRope], 2)); //               [1, S, r + dr]
      const mixed = attention(concat([absorbed, qRope], 2), cached, { scale, valueDim: r });
      const context = tap('attn.hook_ctx_latent', mixed); //                                       [T, H, r]
      const values = headLinear(context, this.valueUp, { transposed: true }); //                   [T, H, dv]
      return attentionOutput(values, this.o); //                                                   [T, D]
    });
  }

  /** The parts of queries, which observers see and edit as one. */
  #shownQueries(nope: Tensor, rope: Tensor): Tensor[] {
    if (!watched('attn.hook_q')) return [nope, rope];
    const { nopeDim, ropeDim } = this.options.config.latent;
    const whole = concat([nope, rope], 2); //                                                      [T, H, dn + dr]
    const used = tap('attn.hook_q', whole);
    return used === whole ? [nope, rope] : used.split([nopeDim, ropeDim]);
  }

  /** Shows observers the keys and values that the naive form would make. */
  #showExpanded(latent: Tensor, kRope: Tensor): void {
    const { nHeads: H, latent: sizes } = this.options.config;
    derive('attn.hook_k', () => keysOf(linear(latent, this.keyUp).reshape([-1, H, sizes.nopeDim]), kRope));
    derive('attn.hook_v', () => linear(latent, this.valueUp).reshape([-1, H, sizes.valueDim])); // [T, H, dv]
  }
}

/** Expands latents to keys and values of every head, and caches these: the definition. */
class NaiveAttention implements Attention {
  readonly inputs: Inputs;
  readonly options: LatentOptions;
  readonly cacheLayout: LayerLayout;
  readonly up: Linear; // [H (dn + dv), r]
  readonly o: Linear; //  [D, H dv]

  constructor(weights: Weights, options: LatentOptions) {
    const { dim: D, nHeads: H, latent } = options.config;
    const { rank: r, nopeDim: dn, valueDim: dv } = latent;
    this.options = options;
    this.cacheLayout = latentLayout(options.config);
    this.inputs = new Inputs(weights, options);
    this.up = weights.linear({ kv_b_proj: H * (dn + dv) }, r);
    this.o = weights.linear({ o_proj: D }, H * dv, { bias: options.bias });
  }

  get hooks(): HookPoint[] {
    return [
      ...this.inputs.hooks,
      ...LATENT_HOOKS,
      { name: 'attn.hook_q', axes: 'p h e', meaning: 'queries, rotary part last' },
      { name: 'attn.hook_k', axes: 'p h e', meaning: 'keys, rotary part last' },
      { name: 'attn.hook_v', axes: 'p h e_v', meaning: 'values' },
      ...cacheHooks(this.cacheLayout),
      ...attentionHooks({ hasSinks: false }),
      ...ATTENTION_OUTPUT_HOOKS,
    ];
  }

  get weightPoints(): WeightDeclaration[] {
    return latentWeights(this.inputs, this.up, this.o);
  }

  get invariants(): Invariant[] {
    return [
      ...cacheInvariants(this.cacheLayout),
      ...attentionInvariants({ hasSinks: false, window: Infinity }),
      mixtureInvariant('attn.hook_z', 'kv.hook_v'),
      ...attentionOutputInvariants(this.o),
    ];
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, latent: sizes, attentionScale: scale } = this.options.config;
    const { nopeDim: dn, valueDim: dv } = sizes;
    const rope = step.rotation(this.options.rope);
    return scope('', () => {
      const [qNope, qRope] = this.inputs.queries(x, rope); //                                      [T, H, dn], [T, H, dr]
      const [latent, kRope] = this.inputs.latents(x, rope); //                                     [T, r], [T, 1, dr]
      const [kNope, values] = linear(latent, this.up)
        .reshape([-1, H, dn + dv])
        .split([dn, dv]); // [T, H, dn], [T, H, dv]
      const q = tap('attn.hook_q', concat([qNope, qRope], 2)); //                                  [T, H, dn + dr]
      const k = tap('attn.hook_k', keysOf(kNope, kRope)); //                                       [T, H, dn + dr]
      const v = tap('attn.hook_v', values); //                                                     [T, H, dv]
      return attentionOutput(attention(q, step.append(k, v), { scale }), this.o); //               [T, D]
    });
  }
}

const LATENT_HOOKS = onlyIn(LATENT, [
  { name: 'attn.hook_kv_latent', axes: 'p r_kv', meaning: 'latent of keys and values, after its norm' },
  { name: 'attn.hook_k_rope', axes: 'p 1 e_r', meaning: 'rotary part of the key, which all heads share, rotated' },
]);

/** Keys of every head: its own part `[T, H, dn]`, and the one that all share `[T, 1, dr]`. */
function keysOf(nope: Tensor, rope: Tensor): Tensor {
  const shared = concat(new Array<Tensor>(nope.shape[1]).fill(rope), 1); // [T, H, dr]
  return concat([nope, shared], 2); //                                      [T, H, dn + dr]
}

/**
 * In each head, the first `plain` rows stay and the `rotary` ones after them go from pairs (2i, 2i + 1) to halves
 * (i, i + rotary / 2), for which `rotate` is made. Queries and keys alike, so their products stay what they are.
 */
function interleavedToHalfSplit(heads: number, plain: number, rotary: number): Arrangement {
  const width = plain + rotary;
  const half = rotary / 2;
  const order = Int32Array.from({ length: heads * width }, (_, row) => {
    const at = (row % width) - plain;
    if (at < 0) return row;
    return row - at + (at < half ? 2 * at : 2 * (at - half) + 1);
  });
  return rows(order);
}

/** Rows `from` to `from + count` of each head. */
const rowsOfHeads = (heads: number, width: number, from: number, count: number): Int32Array =>
  Int32Array.from({ length: heads * count }, (_, i) => Math.floor(i / count) * width + from + (i % count));
