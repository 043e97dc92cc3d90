// T new tokens, D model width, E experts, k experts per token, F width of an expert.
import { gated } from '../../tensor/ops/activation.ts';
import type { Json } from '../../json.ts';
import { type Family, LIMITS, readDecoderConfig, repeat } from '../config/decoder-config.ts';
import { fields, upTo } from '../config/config-fields.ts';
import { slidingWindow, windowsOf } from '../config/layer-types.ts';
import { llamaAttention } from '../parts/grouped-query-attention.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { expertWeights, Mixture } from '../parts/mixture.ts';
import { RmsNorm } from '../parts/norm.ts';
import { Router } from '../parts/router.ts';
import type { Weights } from '../weights/weights.ts';

/** Mixtral (Jiang et al., 2024): Llama whose MLPs are mixtures; the softmax over all experts is divided by that of the chosen. */
export function mixtral(raw: Json, weights: Weights): Decoder {
  const read = fields(raw);
  const count = read.integer('num_local_experts', upTo(LIMITS.experts)) ?? 8;
  const perToken = read.integer('num_experts_per_tok', upTo(count)) ?? 2;
  const family: Family = {
    normEpsilon: 1e-5,
    maxPositions: 131072,
    tieEmbeddings: false,
    theta: 1e6,
    windows: (n) => windowsOf(repeat(true, n), slidingWindow(raw, Infinity)),
  };
  const base = readDecoderConfig(raw, family);
  const { dim: D, mlpDim: F, nLayers, normEpsilon, activation } = base;
  const config = { ...base, experts: { count, perToken, dim: F, sharedDim: 0, layers: repeat(true, nLayers) } };
  return decoder(config, weights, (layer, index) => {
    const moe = layer.at('block_sparse_moe');
    const choice = { perToken, scores: 'softmax', normalise: { by: 'sum', epsilon: 0 } } as const;
    return new Block({
      attnNorm: new RmsNorm(layer, 'input_layernorm', D, normEpsilon),
      attn: llamaAttention(config, index, layer.at('self_attn')),
      mlpNorm: new RmsNorm(layer, 'post_attention_layernorm', D, normEpsilon),
      mlp: new Mixture({
        router: new Router(moe.linear({ gate: count }, D, { hold: 'f32' }), choice), //                              [E, D]
        experts: expertWeights(
          moe.at('experts'),
          { count, dim: D, expertDim: F },
          { gate: 'w1', up: 'w3', down: 'w2' },
        ), // [2F, D], [D, F] each
        activation: (gate, up) => gated(gate, up, activation),
      }),
    });
  });
}
