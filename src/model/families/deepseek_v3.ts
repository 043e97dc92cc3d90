// T new tokens, D model width, H heads, E experts, k experts per token, F width of an expert. See parts/latent-attention.ts.
import type { Json } from '../../json.ts';
import { gated } from '../../tensor/ops/activation.ts';
import { ConfigError } from '../config/config-error.ts';
import {
  type DecoderConfig,
  type ExpertsConfig,
  type LatentConfig,
  LIMITS,
  readDecoderConfig,
  repeat,
} from '../config/decoder-config.ts';
import { above, atLeastOne, atLeastZero, expectOnly, fields, invalid, upTo } from '../config/config-fields.ts';
import { show } from '../../options.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { latentAttention, type LatentOptions } from '../parts/latent-attention.ts';
import { expertWeights, Mixture } from '../parts/mixture.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { RmsNorm } from '../parts/norm.ts';
import { parseRope, type RopeConfig } from '../config/rope-config.ts';
import { yarnMagnitude } from '../parts/rope.ts';
import { type Choice, Router } from '../parts/router.ts';
import type { NetworkOptions } from './architecture.ts';
import type { Weights } from '../weights/weights.ts';

/** DeepSeek-V3 and R1 (arXiv 2412.19437): latent attention, and experts that are chosen by biased scores in few groups. */
export function deepseekV3(raw: Json, weights: Weights, options: NetworkOptions): Decoder {
  const read = fields(raw);
  expectOnly(raw, 'scoring_func', ['sigmoid']);
  expectOnly(raw, 'topk_method', ['noaux_tc']);
  const defaults = {
    maxPositions: 4096,
    queryRank: 1536,
    experts: 256,
    shared: 1,
    perToken: 8,
    expertDim: 2048,
    dense: 3,
  };
  const groups = {
    groups: read.integer('n_group', atLeastOne) ?? 8,
    kept: read.integer('topk_group', atLeastOne) ?? 4,
  };
  return deepseek(raw, weights, options, {
    defaults,
    biased: true,
    interleaved: read.boolean('rope_interleave') ?? true,
    choice: {
      scores: 'sigmoid',
      groups: groups.groups > 1 ? { ...groups, best: 2 } : undefined,
      normalise: (read.boolean('norm_topk_prob') ?? true) ? { by: 'sum', epsilon: 1e-20 } : undefined,
      scale: read.number('routed_scaling_factor', above(0)) ?? 2.5,
    },
  });
}

/** What differs between DeepSeek V2 and V3. */
export interface DeepseekFamily {
  /** Defaults of transformers where config.json has no value. */
  readonly defaults: {
    readonly maxPositions: number;
    readonly queryRank: number;
    readonly experts: number;
    readonly shared: number;
    readonly perToken: number;
    readonly expertDim: number;
    /** How many layers at the beginning have an MLP instead of a mixture. */
    readonly dense: number;
  };
  /** Whether neighbours are rotated together in the file, 2i and 2i + 1. */
  readonly interleaved: boolean;
  readonly choice: Omit<Choice, 'perToken'>;
  /** Whether the router has a bias for the choice. */
  readonly biased: boolean;
}

/** The network of DeepSeek V2 and V3. */
export function deepseek(raw: Json, weights: Weights, { mla }: NetworkOptions, family: DeepseekFamily): Decoder {
  const latent = latentOf(raw, family, mla === 'absorbed');
  const rope = ropeOf(raw, family, latent);
  const headDim = latent.nopeDim + latent.ropeDim;
  // A key and value head for every query head; files say what they like.
  const base = readDecoderConfig(
    { ...raw, head_dim: headDim, num_key_value_heads: raw.num_attention_heads },
    {
      normEpsilon: 1e-6,
      maxPositions: family.defaults.maxPositions,
      tieEmbeddings: false,
      attentionScale: headDim ** -0.5 * softmaxMagnitude(rope) ** 2,
      ropes: ({ nLayers }) => repeat(rope, nLayers),
    },
  );
  const config = { ...base, latent, experts: expertsOf(raw, family, base.nLayers) };
  const attention: LatentOptions = {
    config,
    rope,
    interleaved: family.interleaved,
    bias: fields(raw).boolean('attention_bias') ?? false,
  };
  const { dim: D, normEpsilon, experts } = config;
  const block = (layer: Weights, index: number): Block =>
    new Block({
      attnNorm: new RmsNorm(layer, 'input_layernorm', D, normEpsilon),
      attn: latentAttention(layer.at('self_attn'), attention),
      mlpNorm: new RmsNorm(layer, 'post_attention_layernorm', D, normEpsilon),
      mlp: experts.layers[index] ? mixture(layer.at('mlp'), config, family) : gatedMlp(layer.at('mlp'), config),
    });
  return decoder(config, weights, block);
}

function mixture(
  mlp: Weights,
  config: DecoderConfig & { readonly experts: ExpertsConfig },
  family: DeepseekFamily,
): Mixture {
  const { dim: D, activation, experts } = config;
  const { count, perToken, dim: F, sharedDim } = experts;
  const bias = family.biased ? mlp.vector('gate.e_score_correction_bias', count) : undefined;
  return new Mixture({
    router: new Router(mlp.linear({ gate: count }, D, { hold: 'f32' }), { perToken, ...family.choice }, bias),
    experts: expertWeights(mlp.at('experts'), { count, dim: D, expertDim: F }),
    activation: (gate, up) => gated(gate, up, activation),
    shared:
      sharedDim > 0
        ? gatedMlp(mlp.at('shared_experts'), { dim: D, mlpDim: sharedDim, activation }, { path: 'mlp.shared' })
        : undefined,
  });
}

function latentOf(raw: Json, { defaults }: DeepseekFamily, absorbed: boolean): LatentConfig {
  const read = fields(raw);
  const size = (key: string, absent: number): number => read.integer(key, upTo(LIMITS.dim)) ?? absent;
  const hasQueryRank = raw.q_lora_rank !== null && raw.q_lora_rank !== 0;
  return {
    queryRank: hasQueryRank ? size('q_lora_rank', defaults.queryRank) : undefined,
    rank: size('kv_lora_rank', 512),
    nopeDim: size('qk_nope_head_dim', 128),
    ropeDim: size('qk_rope_head_dim', 64),
    valueDim: size('v_head_dim', 128),
    absorbed,
  };
}

function ropeOf(raw: Json, { defaults }: DeepseekFamily, { ropeDim }: LatentConfig): RopeConfig {
  const rope = parseRope(raw, { theta: 10000, headDim: ropeDim, maxPositions: defaults.maxPositions });
  if (rope.scaling.type === 'default' || rope.scaling.type === 'yarn') return rope;
  throw new ConfigError(
    `config.json: rope type ${show(rope.scaling.type)} is not supported with latent attention (supported: default, yarn).`,
  );
}

/** YaRN's factor on the scores, which DeepSeek has in the softmax's scale and squared: it is of the whole head. */
function softmaxMagnitude({ scaling }: RopeConfig): number {
  return scaling.type === 'yarn' && scaling.mscaleAllDim ? yarnMagnitude(scaling.factor, scaling.mscaleAllDim) : 1;
}

function expertsOf(raw: Json, { defaults, choice }: DeepseekFamily, nLayers: number): ExpertsConfig {
  const read = fields(raw);
  const count = read.integer('n_routed_experts', upTo(LIMITS.experts)) ?? defaults.experts;
  const perToken = read.integer('num_experts_per_tok', upTo(count)) ?? defaults.perToken;
  const dim = read.integer('moe_intermediate_size', upTo(LIMITS.dim)) ?? defaults.expertDim;
  const shared = read.integer('n_shared_experts', atLeastZero) ?? defaults.shared;
  const dense = read.integer('first_k_dense_replace', atLeastZero) ?? defaults.dense;
  expectOnly(raw, 'moe_layer_freq', [1]);
  const { groups: n, kept, best } = choice.groups ?? { groups: 1, kept: 1, best: 1 };
  if (count % n !== 0 || count / n < best)
    throw invalid('n_group', `a divisor of n_routed_experts ${count} that leaves at least ${best} in a group`, n);
  if (kept > n || (kept * count) / n < perToken)
    throw invalid(
      'topk_group',
      `a number up to n_group ${n} that leaves num_experts_per_tok ${perToken} experts`,
      kept,
    );
  const layers = Array.from({ length: nLayers }, (_, layer) => layer >= dense);
  return { count, perToken, dim, sharedDim: shared * dim, layers };
}
