// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { type HookPoint, under } from '../../tensor/hook-point.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type DecoderConfig, readDecoderConfig } from '../config/decoder-config.ts';
import { fields } from '../config/config-fields.ts';
import { llamaAttention } from '../parts/grouped-query-attention.ts';
import {
  type Attention,
  type FeedForward,
  type Layer,
  postNormHooks,
  RESIDUAL_HOOKS,
  RESIDUAL_INVARIANTS,
} from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { gatedMlp } from '../parts/mlp.ts';
import { type Norm, RmsNorm } from '../parts/norm.ts';
import type { LayerStep } from '../parts/step.ts';
import type { WeightDeclaration } from '../weights/weight-point.ts';
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
  });
  return decoder(config, weights, (layer, index) => new PostNormBlock(config, layer, index));
}

const NO_PRE_NORMS: readonly WeightDeclaration[] = ['ln1.w', 'ln2.w'].map((name) => ({
  name,
  absence: 'sub-layers read the residual stream as it is, and what they add is normed: ln1_post, ln2_post',
}));

class PostNormBlock implements Layer {
  readonly attn: Attention;
  readonly attnNorm: Norm; // [D]
  readonly mlp: FeedForward;
  readonly mlpNorm: Norm; //  [D]

  constructor(config: DecoderConfig, weights: Weights, index: number) {
    const { dim: D, normEpsilon } = config;
    this.attn = llamaAttention(config, index, weights.at('self_attn'), { qkNorm: 'all heads' });
    this.attnNorm = new RmsNorm(weights, 'post_attention_layernorm', D, normEpsilon);
    this.mlp = gatedMlp(weights.at('mlp'), config);
    this.mlpNorm = new RmsNorm(weights, 'post_feedforward_layernorm', D, normEpsilon);
  }

  get hooks(): HookPoint[] {
    const { pre, attnIn, attnRead, attnOut, mid, mlpIn, mlpRead, mlpOut, post } = RESIDUAL_HOOKS;
    const attention = [attnIn, attnRead, ...this.attn.hooks, ...postNormHooks('ln1_post', this.attnNorm), attnOut];
    const mlp = [mlpIn, mlpRead, ...this.mlp.hooks, ...postNormHooks('ln2_post', this.mlpNorm), mlpOut];
    return [pre, ...attention, mid, ...mlp, post];
  }

  get weightPoints(): WeightDeclaration[] {
    const norms = [under('ln1_post', this.attnNorm.weightPoints), under('ln2_post', this.mlpNorm.weightPoints)];
    return [...this.attn.weightPoints, ...norms[0], ...this.mlp.weightPoints, ...norms[1], ...NO_PRE_NORMS];
  }

  get invariants(): Invariant[] {
    return [...this.attn.invariants, ...this.mlp.invariants, ...RESIDUAL_INVARIANTS];
  }

  forward(input: Tensor, step: LayerStep): Tensor {
    const x = tap('hook_resid_pre', input); //                                                          [T, D]
    const attn = this.attn.forward(tap('attn.hook_in', tap('hook_attn_in', x)), step);
    const mid = tap('hook_resid_mid', x.add(tap('hook_attn_out', this.attnNorm.forward(attn, 'ln1_post'))));
    const mlp = this.mlp.forward(tap('mlp.hook_in', tap('hook_mlp_in', mid)));
    return tap('hook_resid_post', mid.add(tap('hook_mlp_out', this.mlpNorm.forward(mlp, 'ln2_post'))));
  }
}
