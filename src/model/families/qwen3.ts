// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import type { Parameter } from '../../tensor/parameter.ts';
import { attention } from '../../tensor/ops/attention.ts';
import { attentionOutput } from '../../tensor/ops/attention-output.ts';
import { linears, type Linear } from '../../tensor/ops/linear.ts';
import { rmsNorm } from '../../tensor/ops/rms-norm.ts';
import { rotate } from '../../tensor/ops/rotate.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Arrangement } from '../weights/arrangement.ts';
import { type DecoderConfig, type Family, readDecoderConfig, type Trait } from '../config/decoder-config.ts';
import { fields } from '../config/config-fields.ts';
import { llamaBlock, qwenWindows } from './llama.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import type { RopeConfig } from '../parts/rope.ts';
import type { LayerStep } from '../parts/step.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** Qwen3: Llama with a norm on every query and key head before the rotation, and a head width of its own. */
export function qwen3(raw: Json, weights: Weights): Decoder {
  const config = readDecoderConfig(raw, qwen3Family(raw));
  return decoder(config, weights, (layer, index) =>
    llamaBlock(config, layer, new QkNormAttention(config, layer.at('self_attn'), index)),
  );
}

export function qwen3Family(raw: Json): Family & { readonly traits: readonly Trait[] } {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  return {
    normEpsilon: 1e-6,
    maxPositions: 32768,
    tieEmbeddings: false,
    headDim: 128,
    biases: { qkv: bias, o: bias, mlp: false },
    traits: ['pre-norm', 'gated-mlp', 'qk-norm'],
    windows: (n) => qwenWindows(raw, n),
  };
}

/** Llama's attention with an RMS norm on every query and key head. */
export class QkNormAttention {
  readonly config: DecoderConfig;
  readonly rope: RopeConfig;
  readonly qkv: Linear; //      [(H + 2K) d, D]
  readonly qNorm: Parameter; // [d]
  readonly kNorm: Parameter; // [d]
  readonly o: Linear; //        [D, H d]

  /** @param arrangement Of the gains of the two norms. */
  constructor(config: DecoderConfig, weights: Weights, index: number, arrangement?: Arrangement) {
    const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases } = config;
    this.config = config;
    this.rope = config.ropes[index]!;
    this.qkv = weights.joined([['q_proj', H * d], ['k_proj', K * d], ['v_proj', K * d]], D, biases.qkv); // prettier-ignore
    this.qNorm = weights.vector('q_norm.weight', d, arrangement);
    this.kNorm = weights.vector('k_norm.weight', d, arrangement);
    this.o = weights.linear('o_proj', D, H * d, biases.o);
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d, normEpsilon, attentionScale: scale } = this.config;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, this.qkv); //                                     [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])); //                                [T, H, d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])); //                                [T, K, d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                                [T, K, d]
      const qNormed = tap('attn.hook_q_normed', rmsNorm(q, this.qNorm.tensor, normEpsilon, ''));
      const kNormed = tap('attn.hook_k_normed', rmsNorm(k, this.kNorm.tensor, normEpsilon, ''));
      const rope = step.rotation(this.rope);
      const rotQ = tap('attn.hook_rot_q', rotate(qNormed, rope));
      const rotK = tap('attn.hook_rot_k', rotate(kNormed, rope));
      const mixed = attention(rotQ, step.append(rotK, v), { scale }); // [T, H, d]
      return attentionOutput(mixed, this.o); // [T, D]
    });
  }
}
