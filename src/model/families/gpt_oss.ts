// T new tokens, D model width, H query heads, K key/value heads, d head width, E experts, F width of an expert.
import type { Json } from '../../json.ts';
import { clampedSwiglu } from '../../tensor/ops/clamped-swiglu.ts';
import type { Expert } from '../../tensor/ops/experts.ts';
import type { Linear } from '../../tensor/ops/linear.ts';
import { mxfp4 } from '../../tensor/formats/mxfp4.ts';
import { inSequence, rows, transposed } from '../weights/arrangement.ts';
import {
  type DecoderConfig,
  type ExpertsConfig,
  type Family,
  LIMITS,
  readDecoderConfig,
  repeat,
} from '../config/decoder-config.ts';
import { above, fields, upTo } from '../config/config-fields.ts';
import { slidingWindows } from '../config/layer-types.ts';
import { llamaAttention } from '../parts/grouped-query-attention.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { Mixture } from '../parts/mixture.ts';
import { RmsNorm } from '../parts/norm.ts';
import { Router } from '../parts/router.ts';
import type { Weights } from '../weights/weights.ts';

/** gpt-oss (OpenAI, 2025): a mixture in every layer, every other one with a window; heads may attend to a sink. */
export function gptOss(raw: Json, weights: Weights): Decoder {
  const base = readDecoderConfig(raw, familyOf(raw));
  const config = { ...base, experts: expertsOf(raw, base) };
  const { dim: D, normEpsilon } = config;
  const { count, perToken, clamped } = config.experts;
  return decoder(config, weights, (layer, index) => {
    const mlp = layer.at('mlp');
    const choice = { perToken, scores: 'logits', normalise: { by: 'softmax' } } as const;
    return new Block({
      attnNorm: new RmsNorm(layer, 'input_layernorm', D, normEpsilon),
      attn: llamaAttention(config, index, layer.at('self_attn'), { hasSinks: true }),
      mlpNorm: new RmsNorm(layer, 'post_attention_layernorm', D, normEpsilon),
      mlp: new Mixture({
        router: new Router(mlp.linear({ router: count }, D, { bias: true, hold: 'f32' }), choice), // [E, D]
        experts: gptOssExperts(mlp.at('experts'), D, config.experts),
        activation: (gate, up) => clampedSwiglu(gate, up, clamped),
      }),
    });
  });
}

function familyOf(raw: Json): Family {
  const read = fields(raw);
  const bias = read.boolean('attention_bias') ?? true;
  return {
    normEpsilon: 1e-5,
    maxPositions: 131072,
    tieEmbeddings: false,
    headDim: 64,
    theta: 150000,
    biases: { qkv: bias, o: bias, mlp: true },
    attentionSinks: true,
    windows: (n) => slidingWindows(raw, n, { slides: (layer) => layer % 2 === 0, window: 128 }),
  };
}

function expertsOf(raw: Json, { nLayers, mlpDim }: DecoderConfig) {
  const read = fields(raw);
  const count = read.integer('num_local_experts', upTo(LIMITS.experts)) ?? 128;
  const key = raw.num_experts_per_tok === undefined ? 'experts_per_token' : 'num_experts_per_tok';
  const perToken = read.integer(key, upTo(count)) ?? 4;
  const clamped = {
    limit: read.number('swiglu_limit', above(0)) ?? 7,
    alpha: read.number('swiglu_alpha', above(0)) ?? 1.702,
  };
  return { count, perToken, dim: mlpDim, sharedDim: 0, clamped, layers: repeat(true, nLayers) } satisfies ExpertsConfig;
}

/**
 * Experts stacked along a first axis: in MXFP4 `[out, in]`, or in numbers `[in, out]`. Gate and up alternate row by row
 * in the file; here the rows of gate come first.
 */
function gptOssExperts(weights: Weights, D: number, { count, dim: F }: ExpertsConfig): Expert[] {
  const apart = rows(Int32Array.from({ length: 2 * F }, (_, row) => (row < F ? 2 * row : 2 * (row - F) + 1)));
  const isPacked = weights.has('gate_up_proj_blocks');
  return Array.from({ length: count }, (_, index) => {
    const stack = { index, count };
    const layer = (name: string, [O, I]: readonly [number, number], order?: typeof apart): Linear => {
      const bias = { name: `${name}_bias`, shape: [O], stack, arrangement: order };
      const packed = { format: mxfp4, scales: `${name}_scales` };
      const weight = isPacked
        ? { name: `${name}_blocks`, shape: [O, I], stack, packed, arrangement: order }
        : { name, shape: [O, I], stack, arrangement: order ? inSequence(transposed, order) : transposed };
      return weights.layer(`${index}.${name}`, [{ weight, bias }]);
    };
    return {
      gateUp: { ...layer('gate_up_proj', [2 * F, D], apart), sizes: [F, F] }, // [2F, D]
      down: layer('down_proj', [D, F]), //                                       [D, F]
    };
  });
}
