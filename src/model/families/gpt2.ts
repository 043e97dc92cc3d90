// T new tokens, D model width, H heads, d head width, F MLP width, P learned positions, V vocabulary.
import { transposed } from '../weights/arrangement.ts';
import { type DecoderConfig, readDecoderConfig, repeat } from '../config/decoder-config.ts';
import { fields, invalid, upTo } from '../config/config-fields.ts';
import { GroupedQueryAttention } from '../parts/grouped-query-attention.ts';
import { Block } from '../parts/block.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { PlainMlp } from '../parts/mlp.ts';
import { LayerNorm } from '../parts/norm.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** GPT-2: learned positions, layer norms, biases everywhere, an MLP without a gate. Its matrices are stored `[in, out]`. */
export function gpt2(raw: Json, weights: Weights): Decoder {
  const config = gpt2Config(raw);
  const { dim: D, maxPositions: P, normEpsilon } = config;
  weights.ignore(/(^|\.)h\.\d+\.attn\.(masked_)?bias$/); // The causal mask, as a buffer.
  const layerScale = scales(raw, config);
  return decoder(config, weights, (layer, index) => block(config, index, layer, layerScale[index]), {
    names: { prefix: 'transformer', embed: 'wte', layers: 'h', norm: 'ln_f', heads: ['lm_head'] },
    positions: (trunk) => trunk.matrix('wpe.weight', [P, D]),
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
    gatedMlp: false,
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

function block(config: DecoderConfig, layer: number, weights: Weights, scale: number): Block {
  const { dim: D, mlpDim: F, normEpsilon, activation } = config;
  const [attn, mlp] = [weights.at('attn'), weights.at('mlp')];
  const stored = { bias: true, arrangement: transposed };
  const qkv = attn.linear({ c_attn: 3 * D }, D, { ...stored, sizes: [D, D, D] }); // [3D, D]
  const o = attn.linear({ c_proj: D }, D, stored); //                               [D, D]
  const up = mlp.linear({ c_fc: F }, D, stored); //                                 [F, D]
  const down = mlp.linear({ c_proj: D }, F, stored); //                             [D, F]
  return new Block({
    attnNorm: new LayerNorm(weights, 'ln_1', D, normEpsilon),
    attn: new GroupedQueryAttention(config, layer, { qkv, o }, scale),
    mlpNorm: new LayerNorm(weights, 'ln_2', D, normEpsilon),
    mlp: new PlainMlp({ up, down }, activation),
  });
}
