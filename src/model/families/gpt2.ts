// T new tokens, D model width, H heads, d head width, F MLP width, P learned positions, V vocabulary.
import { attention } from '../../tensor/ops/attention.ts';
import { attentionOutput } from '../../tensor/ops/attention-output.ts';
import { linears, type Linear } from '../../tensor/ops/linear.ts';
import { scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { transposed } from '../weights/arrangement.ts';
import { type DecoderConfig, readDecoderConfig, repeat } from '../config/decoder-config.ts';
import { fields, invalid, upTo } from '../config/config-fields.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { PlainMlp } from '../parts/mlp.ts';
import { LayerNorm } from '../parts/norm.ts';
import type { LayerStep } from '../parts/step.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** GPT-2: learned positions, layer norms, biases everywhere, an MLP without a gate. Its matrices are stored `[in, out]`. */
export function gpt2(raw: Json, weights: Weights): Decoder {
  const config = gpt2Config(raw);
  const { dim: D, maxPositions: P, normEpsilon } = config;
  weights.ignore(/(^|\.)h\.\d+\.attn\.(masked_)?bias$/); // The causal mask, as a buffer.
  const layerScale = scales(raw, config);
  return decoder(config, weights, (layer, index) => block(config, layer, layerScale[index]), {
    names: { prefix: 'transformer', embed: 'wte', layers: 'h', norm: 'ln_f', heads: ['lm_head'] },
    positions: (trunk) => trunk.matrix('wpe.weight', P, D),
    norm: (trunk, name) => new LayerNorm(trunk, name, D, normEpsilon),
  });
}

/** GPT-2's names for fields of Llama. */
const KEYS = {
  hidden_size: 'n_embd',
  num_attention_heads: 'n_head',
  num_hidden_layers: 'n_layer',
  intermediate_size: 'n_inner',
  max_position_embeddings: 'n_positions',
  rms_norm_eps: 'layer_norm_epsilon',
  hidden_act: 'activation_function',
};

function gpt2Config(raw: Json): DecoderConfig {
  if (fields(raw).boolean('add_cross_attention') ?? false)
    throw invalid('add_cross_attention', 'false: there is no encoder to attend to', true);
  const n_inner = raw.n_inner ?? 4 * fields(raw).size('n_embd', upTo(2 ** 17));
  const own = { ...raw, n_inner, num_key_value_heads: undefined, head_dim: undefined };
  return readDecoderConfig(own, {
    normEpsilon: 1e-5,
    maxPositions: 1024,
    tieEmbeddings: true,
    activation: 'gelu_new',
    keys: KEYS,
    biases: { qkv: true, o: true, mlp: true },
    traits: ['pre-norm', 'learned-positions'],
    ropes: ({ nLayers }) => repeat(undefined, nLayers),
  });
}

/** The factor on `q . k` of each layer. */
function scales(raw: Json, { headDim: d, nLayers }: DecoderConfig): number[] {
  const read = fields(raw);
  const scale = (read.boolean('scale_attn_weights') ?? true) ? d ** -0.5 : 1;
  const byLayer = read.boolean('scale_attn_by_inverse_layer_idx') ?? false;
  return Array.from({ length: nLayers }, (_, layer) => (byLayer ? scale / (layer + 1) : scale));
}

function block(config: DecoderConfig, weights: Weights, scale: number): Block {
  const { dim: D, mlpDim: F, normEpsilon, activation } = config;
  const up = weights.linear('mlp.c_fc', F, D, true, transposed); //     [F, D]
  const down = weights.linear('mlp.c_proj', D, F, true, transposed); // [D, F]
  return new Block({
    attnNorm: new LayerNorm(weights, 'ln_1', D, normEpsilon),
    attn: new Attention(config, weights.at('attn'), scale),
    mlpNorm: new LayerNorm(weights, 'ln_2', D, normEpsilon),
    mlp: new PlainMlp({ up, down }, activation),
  });
}

/** Multi-head attention: positions are in the residual stream, and queries and keys are not rotated. */
class Attention {
  readonly config: DecoderConfig;
  readonly qkv: Linear; // [3 D, D]
  readonly o: Linear; //   [D, D]
  readonly scale: number;

  constructor(config: DecoderConfig, weights: Weights, scale: number) {
    const { dim: D } = config;
    this.config = config;
    this.qkv = weights.fused('c_attn', [D, D, D], D, true, transposed);
    this.o = weights.linear('c_proj', D, D, true, transposed);
    this.scale = scale;
  }

  forward(x: Tensor, step: LayerStep): Tensor {
    const { nHeads: H, headDim: d } = this.config;
    return scope('', () => {
      const heads = linears(x, this.qkv).map((rows) => rows.reshape([-1, H, d])); //           [T, H, d] three times
      const [q, k, v] = ['q', 'k', 'v'].map((name, i) => tap(`attn.hook_${name}`, heads[i]));
      const mixed = attention(q, step.append(k, v), { scale: this.scale }); // [T, H, d]
      return attentionOutput(mixed, this.o); // [T, D]
    });
  }
}
