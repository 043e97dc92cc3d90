// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { attention, headResults } from '../tensor/ops/attention.ts';
import { linear, linears, type Linear } from '../tensor/ops/linear.ts';
import { rotate, type Rotation } from '../tensor/ops/rotate.ts';
import { derive, scope, tap } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type DecoderConfig, readDecoderConfig } from './decoder-config.ts';
import { fields, upTo } from './fields.ts';
import { Block } from './parts/block.ts';
import { Decoder } from './parts/decoder.ts';
import { Mlp } from './parts/mlp.ts';
import type { LayerCache } from './step.ts';
import type { Weights } from './weights.ts';
import type { Json } from '../json.ts';

/** Llama 2, 3, 3.1, 3.2 and what shares its order of operations: SmolLM2, TinyLlama, Mistral, Qwen2. */
export function llama(raw: Json, weights: Weights): Decoder {
  const config = llamaConfig(raw);
  return new Decoder(config, weights, (layer) =>
    llamaBlock(config, layer, new Attention(config, layer.at('self_attn'))),
  );
}

/** What differs between the relatives is a number or a bias. */
function llamaConfig(raw: Json): DecoderConfig {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  const mlp = fields(raw).boolean('mlp_bias') ?? false;
  switch (raw.model_type) {
    case 'mistral': {
      const window = slidingWindow(raw, 4096);
      const defaults = { normEpsilon: 1e-6, maxPositions: 131072, tieEmbeddings: false };
      return readDecoderConfig(raw, defaults, { qkv: false, o: false, mlp: false }, (n) => repeat(window, n));
    }
    case 'qwen2': {
      const defaults = { normEpsilon: 1e-6, maxPositions: 32768, tieEmbeddings: false };
      return readDecoderConfig(raw, defaults, { qkv: true, o: false, mlp: false }, (n) => qwenWindows(raw, n));
    }
    default: {
      const defaults = { normEpsilon: 1e-6, maxPositions: 2048, tieEmbeddings: false };
      return readDecoderConfig(raw, defaults, { qkv: bias, o: bias, mlp }, (n) => repeat(Infinity, n));
    }
  }
}

/** The window of `sliding_window`; null or 0 is none. */
function slidingWindow(raw: Json, absent: number): number {
  if (raw.sliding_window === null || raw.sliding_window === 0) return Infinity;
  return fields(raw).integer('sliding_window', upTo(2 ** 24)) ?? absent;
}

/** Qwen's windows count only with `use_sliding_window`, and then from layer `max_window_layers` on. */
export function qwenWindows(raw: Json, nLayers: number): number[] {
  if (Array.isArray(raw.layer_types) && raw.layer_types.length === nLayers)
    return raw.layer_types.map((type) => (type === 'sliding_attention' ? slidingWindow(raw, 4096) : Infinity));
  if (fields(raw).boolean('use_sliding_window') !== true) return repeat(Infinity, nLayers);
  const first = fields(raw).integer('max_window_layers', { words: 'a number from 0', holds: (x) => x >= 0 }) ?? 28;
  return Array.from({ length: nLayers }, (_, layer) => (layer >= first ? slidingWindow(raw, 4096) : Infinity));
}

const repeat = (window: number, nLayers: number): number[] => new Array<number>(nLayers).fill(window);

/** The block under a layer's weights, with the attention of its family. */
export function llamaBlock(config: DecoderConfig, weights: Weights, attn: Block['attn']): Block {
  const { dim, mlpDim, normEpsilon, biases } = config;
  return new Block({
    attnNorm: weights.vector('input_layernorm.weight', dim),
    attn,
    mlpNorm: weights.vector('post_attention_layernorm.weight', dim),
    mlp: new Mlp(weights.at('mlp'), { dim, mlpDim, bias: biases.mlp }),
    normEpsilon,
  });
}

/** Grouped-query attention with rotary positions. */
class Attention {
  readonly config: DecoderConfig;
  readonly qkv: Linear; // [(H + 2K) d, D]
  readonly o: Linear; //   [D, H d]

  constructor(config: DecoderConfig, weights: Weights) {
    const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases } = config;
    this.config = config;
    this.qkv = weights.joined([['q_proj', H * d], ['k_proj', K * d], ['v_proj', K * d]], D, biases.qkv); // prettier-ignore
    this.o = weights.linear('o_proj', D, H * d, biases.o);
  }

  forward(x: Tensor, rope: Rotation, cache: LayerCache): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d } = this.config;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, this.qkv); //                                     [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])); //                                [T, H, d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])); //                                [T, K, d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                                [T, K, d]
      const rotQ = tap('attn.hook_rot_q', rotate(q, rope));
      const rotK = tap('attn.hook_rot_k', rotate(k, rope));
      const z = tap('attn.hook_z', attention(rotQ, cache.append(rotK, v), { scale: d ** -0.5 })); // [T, H, d]
      derive('attn.hook_result', () => headResults(z, this.o)); //                               [T, H, D]
      return tap('attn.hook_out', linear(z.reshape([-1, H * d]), this.o)); //                    [T, D]
    });
  }
}
