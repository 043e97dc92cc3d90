// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { plus } from '../weights/arrangement.ts';
import { type DecoderConfig, type Family, readDecoderConfig } from '../config/decoder-config.ts';
import { above, fields, invalid } from '../config/config-fields.ts';
import { slidingWindows } from '../config/layer-types.ts';
import { type AttentionParts, llamaAttention } from '../parts/grouped-query-attention.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { RmsNorm } from '../parts/norm.ts';
import { SandwichBlock } from '../parts/sandwich-block.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** Gemma 2: Llama's attention between two norms, soft caps on its scores and on the logits, every second layer a window. */
export function gemma2(raw: Json, weights: Weights): Decoder {
  const config = readDecoderConfig(raw, {
    ...gemmaFamily(raw),
    maxPositions: 8192,
    attentionSoftCap: softCap(raw, 'attn_logit_softcapping', 50),
    windows: (n) => slidingWindows(raw, n, { slides: (layer) => layer % 2 === 0, window: 4096 }),
  });
  const logitSoftCap = softCap(raw, 'final_logit_softcapping', 30);
  return gemmaDecoder(config, weights, { logitSoftCap });
}

/** The settings that Gemma 2 and 3 share. */
export function gemmaFamily(raw: Json): Omit<Family, 'windows'> {
  const read = fields(raw);
  if (read.boolean('use_bidirectional_attention') ?? false)
    throw invalid('use_bidirectional_attention', 'false: a model that looks ahead cannot generate', true);
  const bias = read.boolean('attention_bias') ?? false;
  return {
    normEpsilon: 1e-6,
    maxPositions: 131072,
    tieEmbeddings: true,
    headDim: 256,
    activation: 'gelu_pytorch_tanh',
    attentionScale: (read.number('query_pre_attn_scalar', above(0)) ?? 256) ** -0.5,
    keys: { hidden_act: 'hidden_activation' },
    biases: { qkv: bias, o: bias, mlp: false },
  };
}

/** A bound of logits; null is none. */
export function softCap(raw: Json, field: string, absent: number | undefined): number | undefined {
  const value: unknown = raw[field];
  if (value === undefined) return absent;
  if (value === null) return undefined;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw invalid(field, 'a finite number above 0, or null', value);
}

/** The trunk of Gemma: every norm multiplies by `1 + w`, and the embeddings are scaled by the root of their width. */
export function gemmaDecoder(
  config: DecoderConfig,
  weights: Weights,
  { logitSoftCap, attention }: { readonly logitSoftCap: number | undefined; readonly attention?: AttentionParts },
): Decoder {
  const { dim: D, normEpsilon } = config;
  const norm = (at: Weights, name: string): RmsNorm => new RmsNorm(at, name, D, normEpsilon, plus(1));
  const block = (layer: Weights, index: number): SandwichBlock =>
    new SandwichBlock({
      attnNorm: norm(layer, 'input_layernorm'),
      attn: llamaAttention(config, index, layer.at('self_attn'), attention),
      attnPostNorm: norm(layer, 'post_attention_layernorm'),
      mlpNorm: norm(layer, 'pre_feedforward_layernorm'),
      mlp: gatedMlp(layer.at('mlp'), config),
      mlpPostNorm: norm(layer, 'post_feedforward_layernorm'),
    });
  return decoder(config, weights, block, { logitSoftCap, embedScale: D ** 0.5, norm });
}
