// T new tokens, D model width, E experts, k experts per token, F width of an expert.
import type { Json } from '../../json.ts';
import { gated } from '../../tensor/ops/activation.ts';
import { type ExpertsConfig, LIMITS, readDecoderConfig, repeat } from '../config/decoder-config.ts';
import { fields, invalid, upTo } from '../config/config-fields.ts';
import { slidingWindow } from '../config/layer-types.ts';
import { llamaAttention } from '../parts/grouped-query-attention.ts';
import { Block, type FeedForward } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { expertWeights, Mixture } from '../parts/mixture.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { RmsNorm } from '../parts/norm.ts';
import { Router } from '../parts/router.ts';
import { qwen3Family } from './qwen3.ts';
import type { Weights } from '../weights/weights.ts';

/** Qwen3-MoE: Qwen3 whose MLPs are mixtures, but for layers that config.json leaves dense. */
export function qwen3Moe(raw: Json, weights: Weights): Decoder {
  const normalises = fields(raw).boolean('norm_topk_prob') ?? false;
  const uses = fields(raw).boolean('use_sliding_window') ?? false;
  // Unlike Qwen3: the width of a head follows from the others', and all layers slide or none.
  const family = {
    ...qwen3Family(raw),
    headDim: undefined,
    windows: (n: number) => repeat(uses ? slidingWindow(raw, 4096) : Infinity, n),
  };
  const base = readDecoderConfig(raw, family);
  const config = { ...base, experts: expertsOf(raw, base.nLayers) };
  const { dim: D, normEpsilon, activation } = config;
  const { count, perToken, dim: F, layers } = config.experts;
  const mixture = (mlp: Weights): FeedForward =>
    new Mixture({
      router: new Router(mlp.linear({ gate: count }, D, { hold: 'f32' }), {
        perToken,
        scores: 'softmax',
        normalise: normalises ? { by: 'sum', epsilon: 0 } : undefined,
      }),
      experts: expertWeights(mlp.at('experts'), { count, dim: D, expertDim: F }),
      activation: (gate, up) => gated(gate, up, activation),
    });
  return decoder(config, weights, (layer, index) => {
    const mlp = layer.at('mlp');
    return new Block({
      attnNorm: new RmsNorm(layer, 'input_layernorm', D, normEpsilon),
      attn: llamaAttention(config, index, layer.at('self_attn'), { qkNorm: 'head' }),
      mlpNorm: new RmsNorm(layer, 'post_attention_layernorm', D, normEpsilon),
      mlp: layers[index] ? mixture(mlp) : gatedMlp(mlp, config),
    });
  });
}

function expertsOf(raw: Json, nLayers: number): ExpertsConfig {
  const read = fields(raw);
  const countKey = raw.num_experts === undefined ? 'num_local_experts' : 'num_experts';
  const count = read.integer(countKey, upTo(LIMITS.experts)) ?? 128;
  const perToken = read.integer('num_experts_per_tok', upTo(count)) ?? 8;
  const dim = read.integer('moe_intermediate_size', upTo(LIMITS.dim)) ?? 768;
  const step = read.integer('decoder_sparse_step', upTo(LIMITS.layers)) ?? 1;
  const dense: unknown = raw.mlp_only_layers ?? [];
  if (!Array.isArray(dense) || !dense.every((layer) => Number.isInteger(layer)))
    throw invalid('mlp_only_layers', 'a list of layer numbers', dense);
  const layers = Array.from({ length: nLayers }, (_, i) => !dense.includes(i) && (i + 1) % step === 0);
  return { count, perToken, dim, sharedDim: 0, layers };
}
