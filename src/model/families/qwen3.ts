// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { type Family, readDecoderConfig } from '../config/decoder-config.ts';
import { fields } from '../config/config-fields.ts';
import { llamaBlock, qwenWindows } from './llama.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** Qwen3: Llama with a norm on every query and key head before the rotation, and a head width of its own. */
export function qwen3(raw: Json, weights: Weights): Decoder {
  const config = readDecoderConfig(raw, qwen3Family(raw));
  return decoder(config, weights, (layer, index) =>
    llamaBlock(config, index, layer, { attention: { qkNorm: 'head' } }),
  );
}

/** The settings that Qwen3 and Qwen3-MoE share. */
export function qwen3Family(raw: Json): Family {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  return {
    normEpsilon: 1e-6,
    maxPositions: 32768,
    tieEmbeddings: false,
    headDim: 128,
    biases: { qkv: bias, o: bias, mlp: false },
    windows: (n) => qwenWindows(raw, n),
  };
}
