// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { type DecoderConfig, type Family, readDecoderConfig } from '../config/decoder-config.ts';
import { above, atLeastZero, fields } from '../config/config-fields.ts';
import { slidingLayers, slidingWindow, slidingWindows, windowsOf } from '../config/layer-types.ts';
import { type AttentionParts, llamaAttention } from '../parts/grouped-query-attention.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { RmsNorm } from '../parts/norm.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** Llama 2, 3, 3.1, 3.2 and what shares its order of operations: SmolLM2, TinyLlama, Mistral, Qwen2, Granite. */
export function llama(raw: Json, weights: Weights): Decoder {
  const config = readDecoderConfig(raw, familyOf(raw));
  const { residualScale, ...scales } = raw.model_type === 'granite' ? graniteScales(raw) : NO_SCALES;
  return decoder(config, weights, (layer, index) => llamaBlock(config, index, layer, { residualScale }), scales);
}

/** The relatives of Llama differ by numbers, biases and windows. */
function familyOf(raw: Json): Family {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  const mlp = fields(raw).boolean('mlp_bias') ?? false;
  const common = { normEpsilon: 1e-6, tieEmbeddings: false };
  switch (raw.model_type) {
    case 'mistral':
      return {
        ...common,
        maxPositions: 131072,
        windows: (n) => slidingWindows(raw, n, { slides: () => true, window: 4096 }),
      };
    case 'qwen2': {
      const biases = { qkv: true, o: false, mlp: false };
      return { ...common, maxPositions: 32768, biases, windows: (n) => qwenWindows(raw, n) };
    }
    case 'granite': {
      const attentionScale = fields(raw).number('attention_multiplier', above(0)) ?? 1;
      return { ...common, maxPositions: 2048, biases: { qkv: bias, o: bias, mlp }, attentionScale };
    }
    default:
      return { ...common, maxPositions: 2048, biases: { qkv: bias, o: bias, mlp } };
  }
}

const NO_SCALES = { embedScale: 1, residualScale: 1, logitScale: 1 };

/** Granite multiplies what enters the residual stream, and divides the logits. */
function graniteScales(raw: Json): typeof NO_SCALES {
  const factor = (field: string): number => fields(raw).number(field, above(0)) ?? 1;
  return {
    embedScale: factor('embedding_multiplier'),
    residualScale: factor('residual_multiplier'),
    logitScale: 1 / factor('logits_scaling'),
  };
}

/** Qwen's windows count only with `use_sliding_window`, and then from layer `max_window_layers` on. */
export function qwenWindows(raw: Json, nLayers: number): number[] {
  const uses = fields(raw).boolean('use_sliding_window') ?? false;
  const first = fields(raw).integer('max_window_layers', atLeastZero) ?? 28;
  const sliding = slidingLayers(raw, nLayers, (layer) => layer >= first);
  return windowsOf(sliding, uses ? slidingWindow(raw, 4096) : Infinity);
}

/** What differs in the block of a relative of Llama. */
export interface LlamaBlockOptions {
  readonly attention?: AttentionParts;
  /** Factor on what a sub-layer adds. Default 1. */
  readonly residualScale?: number;
}

/** A layer by the names of Llama. */
export function llamaBlock(
  config: DecoderConfig,
  layer: number,
  weights: Weights,
  { attention, residualScale }: LlamaBlockOptions = {},
): Block {
  const { dim, normEpsilon, biases } = config;
  return new Block({
    attnNorm: new RmsNorm(weights, 'input_layernorm', dim, normEpsilon),
    attn: llamaAttention(config, layer, weights.at('self_attn'), attention),
    mlpNorm: new RmsNorm(weights, 'post_attention_layernorm', dim, normEpsilon),
    mlp: gatedMlp(weights.at('mlp'), config, { bias: biases.mlp }),
    residualScale,
  });
}
