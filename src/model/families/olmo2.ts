// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { attention } from '../../tensor/ops/attention.ts';
import { attentionOutput } from '../../tensor/ops/attention-output.ts';
import { linears, type Linear } from '../../tensor/ops/linear.ts';
import { rotate } from '../../tensor/ops/rotate.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type DecoderConfig, readDecoderConfig } from '../config/decoder-config.ts';
import { fields } from '../config/config-fields.ts';
import type { Attention, FeedForward } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { type Norm, RmsNorm } from '../parts/norm.ts';
import type { RopeConfig } from '../parts/rope.ts';
import type { LayerStep } from '../parts/step.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** OLMo 2: sub-layers read the residual stream as it is, and what they add is normed; queries and keys are normed whole. */
export function olmo2(raw: Json, weights: Weights): Decoder {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  const config = readDecoderConfig(raw, {
    normEpsilon: 1e-5,
    maxPositions: 2048,
    tieEmbeddings: false,
    biases: { qkv: bias, o: bias, mlp: false },
    traits: ['post-norm', 'gated-mlp', 'qk-norm'],
  });
  return decoder(config, weights, (layer, index) => new PostNormBlock(config, layer, index));
}

class PostNormBlock {
  readonly attn: Attention;
  readonly attnNorm: Norm; // [D]
  readonly mlp: FeedForward;
  readonly mlpNorm: Norm; //  [D]

  constructor(config: DecoderConfig, weights: Weights, index: number) {
    const { dim: D, normEpsilon } = config;
    this.attn = new WholeNormAttention(config, weights.at('self_attn'), config.ropes[index]!);
    this.attnNorm = new RmsNorm(weights, 'post_attention_layernorm', D, normEpsilon);
    this.mlp = gatedMlp(weights.at('mlp'), config);
    this.mlpNorm = new RmsNorm(weights, 'post_feedforward_layernorm', D, normEpsilon);
  }

  forward(input: Tensor, step: LayerStep): Tensor {
    const x = tap('hook_resid_pre', input); //                                                          [T, D]
    const attn = this.attn.forward(tap('hook_attn_in', x), step);
    const mid = tap('hook_resid_mid', x.add(tap('hook_attn_out', this.attnNorm.forward(attn, 'ln1_post'))));
    const mlp = this.mlp.forward(tap('hook_mlp_in', mid));
    return tap('hook_resid_post', mid.add(tap('hook_mlp_out', this.mlpNorm.forward(mlp, 'ln2_post'))));
  }
}

/** Llama's attention with one norm over all query heads together, and one over all key heads. */
class WholeNormAttention {
  readonly config: DecoderConfig;
  readonly rope: RopeConfig;
  readonly qkv: Linear; // [(H + 2K) d, D]
  readonly qNorm: Norm; // [H d]
  readonly kNorm: Norm; // [K d]
  readonly o: Linear; //   [D, H d]

  constructor(config: DecoderConfig, weights: Weights, rope: RopeConfig) {
    const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases, normEpsilon } = config;
    this.config = config;
    this.rope = rope;
    this.qkv = weights.joined([['q_proj', H * d], ['k_proj', K * d], ['v_proj', K * d]], D, biases.qkv); // prettier-ignore
    this.qNorm = new RmsNorm(weights, 'q_norm', H * d, normEpsilon);
    this.kNorm = new RmsNorm(weights, 'k_norm', K * d, normEpsilon);
    this.o = weights.linear('o_proj', D, H * d, biases.o);
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d, attentionScale: scale } = this.config;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, this.qkv); //                              [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])).reshape([-1, H * d]); //    [T, H d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])).reshape([-1, K * d]); //    [T, K d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                         [T, K, d]
      const qNormed = tap('attn.hook_q_normed', this.qNorm.forward(q, '').reshape([-1, H, d])); // [T, H, d]
      const kNormed = tap('attn.hook_k_normed', this.kNorm.forward(k, '').reshape([-1, K, d])); // [T, K, d]
      const rope = step.rotation(this.rope);
      const rotQ = tap('attn.hook_rot_q', rotate(qNormed, rope));
      const rotK = tap('attn.hook_rot_k', rotate(kNormed, rope));
      const mixed = attention(rotQ, step.append(rotK, v), { scale }); // [T, H, d]
      return attentionOutput(mixed, this.o); // [T, D]
    });
  }
}
