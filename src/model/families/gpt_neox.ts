// T new tokens, D model width, H heads, d head width, F MLP width, V vocabulary.
import { type HookPoint, under } from '../../tensor/hook-point.ts';
import type { Linear } from '../../tensor/ops/linear.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { rows } from '../weights/arrangement.ts';
import { type DecoderConfig, readDecoderConfig } from '../config/decoder-config.ts';
import { fields, upToOne } from '../config/config-fields.ts';
import { GroupedQueryAttention } from '../parts/grouped-query-attention.ts';
import {
  type Attention,
  Block,
  type FeedForward,
  type Layer,
  preNormHooks,
  RESIDUAL_HOOKS,
  sumInvariant,
} from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { PlainMlp } from '../parts/mlp.ts';
import { LayerNorm, type Norm } from '../parts/norm.ts';
import type { LayerStep } from '../parts/step.ts';
import type { WeightDeclaration } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** GPT-NeoX and Pythia: attention and MLP read the same stream side by side, rotary dimensions a part of each head, biases everywhere. */
export function gptNeox(raw: Json, weights: Weights): Decoder {
  const read = fields(raw);
  const parallel = read.boolean('use_parallel_residual') ?? true;
  const bias = read.boolean('attention_bias') ?? true;
  // `partial_rotary_factor` counts only in `rope_parameters`.
  const rope = {
    partial_rotary_factor: read.number('rotary_pct', upToOne) ?? 0.25,
    rope_theta: raw.rotary_emb_base ?? raw.rope_theta,
  };
  const config = readDecoderConfig(
    { ...raw, ...rope, num_key_value_heads: undefined, head_dim: undefined },
    {
      normEpsilon: 1e-5,
      maxPositions: 2048,
      tieEmbeddings: false,
      activation: 'gelu',
      keys: { rms_norm_eps: 'layer_norm_eps' },
      partialRotary: true,
      biases: { qkv: bias, o: bias, mlp: true },
      gatedMlp: false,
    },
  );
  weights.ignore(/(^|\.)layers\.\d+\.attention\.(masked_)?bias$/); // The causal mask, as a buffer.
  const { dim: D, normEpsilon } = config;
  return decoder(config, weights, (layer, index) => block(config, layer, index, parallel), {
    names: {
      prefix: 'gpt_neox',
      embed: 'embed_in',
      layers: 'layers',
      norm: 'final_layer_norm',
      heads: ['embed_out', 'lm_head'], // transformers 5 renames it.
    },
    norm: (trunk, name) => new LayerNorm(trunk, name, D, normEpsilon),
  });
}

function block(config: DecoderConfig, weights: Weights, index: number, parallel: boolean): Layer {
  const { dim: D, mlpDim: F, normEpsilon, activation, biases } = config;
  const [attention, mlp] = [weights.at('attention'), weights.at('mlp')];
  const qkv = stackedByHead(config, attention); //                         [3D, D]
  const o = attention.linear({ dense: D }, D, { bias: biases.o }); //       [D, D]
  const up = mlp.linear({ dense_h_to_4h: F }, D, { bias: true }); //        [F, D]
  const down = mlp.linear({ dense_4h_to_h: D }, F, { bias: true }); //      [D, F]
  const parts = {
    attnNorm: new LayerNorm(weights, 'input_layernorm', D, normEpsilon),
    attn: new GroupedQueryAttention(config, index, { qkv, o }),
    mlpNorm: new LayerNorm(weights, 'post_attention_layernorm', D, normEpsilon),
    mlp: new PlainMlp({ up, down }, activation),
  };
  return parallel ? new ParallelBlock(parts) : new Block(parts);
}

/** The file has q, k and v of one head after the other, `[H, 3, d]` rows; the model reads all q, all k, all v. */
function stackedByHead({ dim: D, nHeads: H, headDim: d, biases }: DecoderConfig, weights: Weights): Linear {
  const order = Int32Array.from({ length: 3 * H * d }, (_, row) => {
    const [part, head, i] = [Math.floor(row / (H * d)), Math.floor(row / d) % H, row % d];
    return (head * 3 + part) * d + i;
  });
  return weights.linear({ query_key_value: 3 * H * d }, D, {
    bias: biases.qkv,
    arrangement: rows(order),
    sizes: [H * d, H * d, H * d],
  });
}

/** Attention and MLP read the same residual stream, each through its own norm, and both add to it. */
class ParallelBlock implements Layer {
  readonly attnNorm: Norm;
  readonly attn: Attention;
  readonly mlpNorm: Norm;
  readonly mlp: FeedForward;

  constructor(parts: Pick<ParallelBlock, 'attnNorm' | 'attn' | 'mlpNorm' | 'mlp'>) {
    this.attnNorm = parts.attnNorm;
    this.attn = parts.attn;
    this.mlpNorm = parts.mlpNorm;
    this.mlp = parts.mlp;
  }

  get hooks(): HookPoint[] {
    const { pre, attnIn, attnRead, attnOut, mlpIn, mlpRead, mlpOut, post } = RESIDUAL_HOOKS;
    const attention = [attnIn, ...preNormHooks('ln1', this.attnNorm), attnRead, ...this.attn.hooks, attnOut];
    const mlp = [mlpIn, ...preNormHooks('ln2', this.mlpNorm), mlpRead, ...this.mlp.hooks, mlpOut];
    return [pre, ...attention, ...mlp, post];
  }

  get invariants(): Invariant[] {
    const sum = sumInvariant('hook_resid_post', 'hook_resid_pre', 'hook_attn_out', 'hook_mlp_out');
    return [...this.attn.invariants, ...this.mlp.invariants, sum];
  }

  get weightPoints(): WeightDeclaration[] {
    const [ln1, ln2] = [under('ln1', this.attnNorm.weightPoints), under('ln2', this.mlpNorm.weightPoints)];
    return [...ln1, ...this.attn.weightPoints, ...ln2, ...this.mlp.weightPoints];
  }

  forward(input: Tensor, step: LayerStep): Tensor {
    const x = tap('hook_resid_pre', input); //                                                             [T, D]
    const attnIn = tap('attn.hook_in', this.attnNorm.forward(tap('hook_attn_in', x), 'ln1'));
    const attnOut = tap('hook_attn_out', this.attn.forward(attnIn, step));
    const mlpIn = tap('mlp.hook_in', this.mlpNorm.forward(tap('hook_mlp_in', x), 'ln2'));
    const mlpOut = tap('hook_mlp_out', this.mlp.forward(mlpIn));
    return tap('hook_resid_post', x.add(attnOut).add(mlpOut));
  }
}
