// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { attention } from '../../tensor/ops/attention.ts';
import { attentionOutput } from '../../tensor/ops/attention-output.ts';
import { linears, type Linear } from '../../tensor/ops/linear.ts';
import { rotate } from '../../tensor/ops/rotate.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type DecoderConfig, type Family, readDecoderConfig } from '../config/decoder-config.ts';
import { above, atLeastZero, fields } from '../config/config-fields.ts';
import { slidingLayers, slidingWindow, windowsOf } from '../config/layer-types.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { RmsNorm } from '../parts/norm.ts';
import type { RopeConfig } from '../parts/rope.ts';
import type { LayerStep } from '../parts/step.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** Llama 2, 3, 3.1, 3.2 and what shares its order of operations: SmolLM2, TinyLlama, Mistral, Qwen2, Granite. */
export function llama(raw: Json, weights: Weights): Decoder {
  const config = readDecoderConfig(raw, familyOf(raw));
  const { residualScale, ...scales } = raw.model_type === 'granite' ? graniteScales(raw) : NO_SCALES;
  return decoder(
    config,
    weights,
    (layer, index) => llamaBlock(config, layer, llamaAttention(config, layer.at('self_attn'), index), residualScale),
    scales,
  );
}

/** What differs between the relatives is a number or a bias. */
function familyOf(raw: Json): Family {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  const mlp = fields(raw).boolean('mlp_bias') ?? false;
  const common = { normEpsilon: 1e-6, tieEmbeddings: false };
  switch (raw.model_type) {
    case 'mistral':
      return {
        ...common,
        maxPositions: 131072,
        windows: (n) =>
          windowsOf(
            slidingLayers(raw, n, () => true),
            slidingWindow(raw, 4096),
          ),
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

/** The block under a layer's weights, with the attention of its family. */
export function llamaBlock(config: DecoderConfig, weights: Weights, attn: Block['attn'], residualScale = 1): Block {
  const { dim, normEpsilon, biases } = config;
  return new Block({
    attnNorm: new RmsNorm(weights, 'input_layernorm', dim, normEpsilon),
    attn,
    mlpNorm: new RmsNorm(weights, 'post_attention_layernorm', dim, normEpsilon),
    mlp: gatedMlp(weights.at('mlp'), config, biases.mlp),
    residualScale,
  });
}

/** The attention under a layer's weights, in the names of Llama. */
export function llamaAttention(config: DecoderConfig, weights: Weights, index: number): LlamaAttention {
  const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases } = config;
  const qkv = weights.joined([['q_proj', H * d], ['k_proj', K * d], ['v_proj', K * d]], D, biases.qkv); // prettier-ignore
  return new LlamaAttention(config, { qkv, o: weights.linear('o_proj', D, H * d, biases.o) }, config.ropes[index]);
}

/** Grouped-query attention with rotary positions, or without any. */
export class LlamaAttention {
  readonly config: DecoderConfig;
  readonly rope: RopeConfig | undefined;
  readonly qkv: Linear; // [(H + 2K) d, D]
  readonly o: Linear; //   [D, H d]

  constructor(
    config: DecoderConfig,
    { qkv, o }: { readonly qkv: Linear; readonly o: Linear },
    rope: RopeConfig | undefined,
  ) {
    this.config = config;
    this.rope = rope;
    this.qkv = qkv;
    this.o = o;
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d, attentionScale: scale, attentionSoftCap: softCap } = this.config;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, this.qkv); //                                     [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])); //                                [T, H, d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])); //                                [T, K, d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                                [T, K, d]
      const rope = this.rope && step.rotation(this.rope); // Absent in a layer that knows no positions.
      const rotQ = rope ? tap('attn.hook_rot_q', rotate(q, rope)) : q;
      const rotK = rope ? tap('attn.hook_rot_k', rotate(k, rope)) : k;
      const mixed = attention(rotQ, step.append(rotK, v), { scale, softCap }); // [T, H, d]
      return attentionOutput(mixed, this.o); // [T, D]
    });
  }
}
