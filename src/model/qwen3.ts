// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import type { Parameter } from '../tensor/parameter.ts';
import { attention, headResults } from '../tensor/ops/attention.ts';
import { linear, linears, type Linear } from '../tensor/ops/linear.ts';
import { rmsNorm } from '../tensor/ops/rms-norm.ts';
import { rotate, type Rotation } from '../tensor/ops/rotate.ts';
import { derive, scope, tap } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type DecoderConfig, readDecoderConfig } from './decoder-config.ts';
import { fields } from './fields.ts';
import { llamaBlock, qwenWindows } from './llama.ts';
import { Decoder } from './parts/decoder.ts';
import type { LayerCache } from './step.ts';
import type { Weights } from './weights.ts';
import type { Json } from '../json.ts';

/** Qwen3: Llama with a norm on every query and key head before it turns, and a head width of its own. */
export function qwen3(raw: Json, weights: Weights): Decoder {
  const bias = fields(raw).boolean('attention_bias') ?? false;
  const defaults = { normEpsilon: 1e-6, maxPositions: 32768, tieEmbeddings: false, headDim: 128, qkNorm: true };
  const config = readDecoderConfig(raw, defaults, { qkv: bias, o: bias, mlp: false }, (n) => qwenWindows(raw, n));
  return new Decoder(config, weights, (layer) =>
    llamaBlock(config, layer, new Attention(config, layer.at('self_attn'))),
  );
}

class Attention {
  readonly config: DecoderConfig;
  readonly qkv: Linear; //      [(H + 2K) d, D]
  readonly qNorm: Parameter; // [d]
  readonly kNorm: Parameter; // [d]
  readonly o: Linear; //        [D, H d]

  constructor(config: DecoderConfig, weights: Weights) {
    const { dim: D, nHeads: H, nKvHeads: K, headDim: d, biases } = config;
    this.config = config;
    this.qkv = weights.joined([['q_proj', H * d], ['k_proj', K * d], ['v_proj', K * d]], D, biases.qkv); // prettier-ignore
    this.qNorm = weights.vector('q_norm.weight', d);
    this.kNorm = weights.vector('k_norm.weight', d);
    this.o = weights.linear('o_proj', D, H * d, biases.o);
  }

  forward(x: Tensor, rope: Rotation, cache: LayerCache): Tensor {
    const { nHeads: H, nKvHeads: K, headDim: d, normEpsilon } = this.config;
    return scope('', () => {
      const [qRows, kRows, vRows] = linears(x, this.qkv); //                                     [T, H d], [T, K d] twice
      const q = tap('attn.hook_q', qRows.reshape([-1, H, d])); //                                [T, H, d]
      const k = tap('attn.hook_k', kRows.reshape([-1, K, d])); //                                [T, K, d]
      const v = tap('attn.hook_v', vRows.reshape([-1, K, d])); //                                [T, K, d]
      const qNormed = tap('attn.hook_q_normed', rmsNorm(q, this.qNorm.tensor, normEpsilon, ''));
      const kNormed = tap('attn.hook_k_normed', rmsNorm(k, this.kNorm.tensor, normEpsilon, ''));
      const rotQ = tap('attn.hook_rot_q', rotate(qNormed, rope));
      const rotK = tap('attn.hook_rot_k', rotate(kNormed, rope));
      const z = tap('attn.hook_z', attention(rotQ, cache.append(rotK, v), { scale: d ** -0.5 })); // [T, H, d]
      derive('attn.hook_result', () => headResults(z, this.o)); //                               [T, H, D]
      return tap('attn.hook_out', linear(z.reshape([-1, H * d]), this.o)); //                    [T, D]
    });
  }
}
