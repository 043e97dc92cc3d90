// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { type DecoderConfig, readDecoderConfig, repeat } from '../config/decoder-config.ts';
import { invalid } from '../config/config-fields.ts';
import { slidingWindow } from '../config/layer-types.ts';
import { GroupedQueryAttention } from '../parts/grouped-query-attention.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { GatedMlp } from '../parts/mlp.ts';
import { RmsNorm } from '../parts/norm.ts';
import { parseRope, type RopeConfig } from '../config/rope-config.ts';
import type { Weights } from '../weights/weights.ts';
import { isObject, type Json } from '../../json.ts';

/**
 * Phi-3, 3.5, 4 and 4-mini: Llama whose projections are stored as one matrix each (q, k, v; gate, up), with part of a head
 * that is rotated and two sets of rotary frequencies, for short and long texts.
 */
export function phi3(raw: Json, weights: Weights): Decoder {
  const config = readDecoderConfig(raw, {
    normEpsilon: 1e-5,
    maxPositions: 4096,
    tieEmbeddings: false,
    windows: (n) => repeat(slidingWindow(raw, Infinity), n),
    ropes: ({ nLayers, ...sizes }) => repeat(readRope(raw, sizes), nLayers),
  });
  return decoder(config, weights, (layer, index) => block(config, layer, index));
}

function block(config: DecoderConfig, weights: Weights, index: number): Block {
  const { dim: D, mlpDim: F, nHeads: H, nKvHeads: K, headDim: d, normEpsilon, activation } = config;
  const [attn, mlp] = [weights.at('self_attn'), weights.at('mlp')];
  const qkv = attn.linear({ qkv_proj: (H + 2 * K) * d }, D, { sizes: [H * d, K * d, K * d] }); // [(H + 2K) d, D]
  const o = attn.linear({ o_proj: D }, H * d); //                                               [D, H d]
  const gateUp = mlp.linear({ gate_up_proj: 2 * F }, D, { sizes: [F, F] }); //                  [2F, D]
  const down = mlp.linear({ down_proj: D }, F); //                                              [D, F]
  return new Block({
    attnNorm: new RmsNorm(weights, 'input_layernorm', D, normEpsilon),
    attn: new GroupedQueryAttention(config, index, { qkv, o }),
    mlpNorm: new RmsNorm(weights, 'post_attention_layernorm', D, normEpsilon),
    mlp: new GatedMlp({ gateUp, down }, activation),
  });
}

/** Only plain and longrope; early files call the latter `su` or `yarn`. */
function readRope(raw: Json, sizes: { readonly headDim: number; readonly maxPositions: number }): RopeConfig {
  const field = isObject(raw.rope_scaling) ? 'rope_scaling' : 'rope_parameters';
  const nested = isObject(raw[field]) ? raw[field] : {};
  const type: unknown = nested.rope_type ?? nested.type ?? 'default';
  if (typeof type !== 'string' || !['default', 'longrope', 'su', 'yarn'].includes(type))
    throw invalid(`${field}.rope_type`, '"default" or "longrope" in a phi3 model', type);
  const rope_type = type === 'default' ? 'default' : 'longrope';
  const original_max_position_embeddings = raw.original_max_position_embeddings ?? 4096;
  const settings = { ...raw, original_max_position_embeddings, [field]: { ...nested, rope_type } };
  return parseRope(settings, { theta: 10000, partial: true, ...sizes });
}
