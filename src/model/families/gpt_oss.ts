// T new tokens, D model width, H query heads, K key/value heads, d head width, E experts, F width of an expert.
import type { Json } from '../../json.ts';
import { attention } from '../../tensor/ops/attention.ts';
import { attentionOutput } from '../../tensor/ops/attention-output.ts';
import { clampedSwiglu } from '../../tensor/ops/clamped-swiglu.ts';
import type { Expert } from '../../tensor/ops/experts.ts';
import { linears, type Linear } from '../../tensor/ops/linear.ts';
import { rotate } from '../../tensor/ops/rotate.ts';
import { mxfp4 } from '../../tensor/formats/mxfp4.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { inTurn, rows, transposed } from '../weights/arrangement.ts';
import {
  type DecoderConfig,
  type ExpertsConfig,
  type Family,
  LIMITS,
  readDecoderConfig,
  repeat,
} from '../config/decoder-config.ts';
import { above, fields, upTo } from '../config/config-fields.ts';
import { slidingLayers, slidingWindow, windowsOf } from '../config/layer-types.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { Mixture } from '../parts/mixture.ts';
import { RmsNorm } from '../parts/norm.ts';
import type { RopeConfig } from '../parts/rope.ts';
import { Router } from '../parts/router.ts';
import type { LayerStep } from '../parts/step.ts';
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
      attn: new Attention(config, index, layer.at('self_attn')),
      mlpNorm: new RmsNorm(layer, 'post_attention_layernorm', D, normEpsilon),
      mlp: new Mixture({
        router: new Router(mlp.router('router', count, D, true), choice), // [E, D]
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
    traits: ['pre-norm', 'gated-mlp', 'sinks'],
    windows: (n) => windowsOf(slidingLayers(raw, n, (layer) => layer % 2 === 0), slidingWindow(raw, 128)), // prettier-ignore
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
        : { name, shape: [O, I], stack, arrangement: order ? inTurn(transposed, order) : transposed };
      return weights.layer(`${index}.${name}`, [{ weight, bias }]);
    };
    return {
      gateUp: { ...layer('gate_up_proj', [2 * F, D], apart), sizes: [F, F] }, // [2F, D]
      down: layer('down_proj', [D, F]), //                                       [D, F]
    };
  });
}

/** Grouped-query attention with rotary positions, where each head has a logit for attending to nothing. */
class Attention {
  readonly config: DecoderConfig;
  readonly rope: RopeConfig;
  readonly qkv: Linear; //      [(H + 2K) d, D]
  readonly sinks: Parameter; // [H]
  readonly o: Linear; //        [D, H d]

  constructor(config: DecoderConfig, index: number, weights: Weights) {
    const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases } = config;
    this.config = config;
    this.rope = config.ropes[index]!;
    this.qkv = weights.joined([['q_proj', H * d], ['k_proj', K * d], ['v_proj', K * d]], D, biases.qkv); // prettier-ignore
    this.sinks = weights.vector('sinks', H);
    this.o = weights.linear('o_proj', D, H * d, biases.o);
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d, attentionScale: scale } = this.config;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, this.qkv); //                                     [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])); //                                [T, H, d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])); //                                [T, K, d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                                [T, K, d]
      const rope = step.rotation(this.rope);
      const rotQ = tap('attn.hook_rot_q', rotate(q, rope));
      const rotK = tap('attn.hook_rot_k', rotate(k, rope));
      const mixed = attention(rotQ, step.append(rotK, v), { scale, sinks: this.sinks.tensor }); // [T, H, d]
      return attentionOutput(mixed, this.o); // [T, D]
    });
  }
}
