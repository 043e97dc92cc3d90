import type { Json } from '../../json.ts';
import type { ConfigFacts, GgufArchitecture } from './gguf-architecture.ts';
import { MIXTURES } from './mixtures.ts';
import { interleaveByHead, type Restore, subtractOne } from './restore.ts';
import { BLOCK, TENSORS } from './tensor-names.ts';

const GEMMA_BLOCK = {
  ...BLOCK,
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

/**
 * `query_pre_attn_scalar`: the largest Gemma divides the width by its heads. As in llama.cpp, its number of layers tells it
 * apart.
 */
const gemmaQueryScale = (
  layersOfLargest: number,
  { sizes: { hiddenSize, layers, heads, headDim } }: ConfigFacts,
): number => (layers === layersOfLargest ? hiddenSize / heads : headDim);

/** Newer conversions write a flag for each layer with a sliding window, older ones the period of the layers without. */
function slidingLayers({ flags, number }: ConfigFacts): Json {
  const isSliding = flags('attention.sliding_window_pattern');
  if (isSliding === undefined) return { sliding_window_pattern: number('attention.sliding_window_pattern') ?? 6 };
  return { layer_types: isSliding.map((it) => (it ? 'sliding_attention' : 'full_attention')) };
}

const gemmaNorms = (part: string): Restore | undefined => (part.endsWith('_norm.weight') ? subtractOne : undefined);

/** The rotary share of a head's dimensions. */
const rotaryPart = ({ number, sizes: { headDim } }: ConfigFacts): number =>
  (number('rope.dimension_count') ?? headDim) / headDim;

/** All architectures, by `general.architecture`. */
export const ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  // Llama 1 to 3.3, SmolLM2, TinyLlama and Mistral.
  llama: {
    modelType: 'llama',
    className: 'LlamaForCausalLM',
    tensors: TENSORS,
    block: BLOCK,
    interleavedRope: true,
  },
  qwen2: {
    modelType: 'qwen2',
    className: 'Qwen2ForCausalLM',
    tensors: TENSORS,
    block: BLOCK,
    interleavedRope: false,
  },
  qwen3: {
    modelType: 'qwen3',
    className: 'Qwen3ForCausalLM',
    tensors: TENSORS,
    block: { ...BLOCK, attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' },
    interleavedRope: false,
  },
  ...MIXTURES,
  granite: {
    modelType: 'granite',
    className: 'GraniteForCausalLM',
    tensors: TENSORS,
    block: BLOCK,
    interleavedRope: true,
    config: ({ number }) => ({
      embedding_multiplier: number('embedding_scale') ?? 1,
      residual_multiplier: number('residual_scale') ?? 1,
      attention_multiplier: number('attention.scale') ?? 1,
      logits_scaling: number('logit_scale') ?? 1,
    }),
  },
  smollm3: {
    modelType: 'smollm3',
    className: 'SmolLM3ForCausalLM',
    tensors: TENSORS,
    block: BLOCK,
    interleavedRope: true,
  },
  olmo2: {
    modelType: 'olmo2',
    className: 'Olmo2ForCausalLM',
    tensors: TENSORS,
    block: {
      ...BLOCK,
      attn_q_norm: 'self_attn.q_norm',
      attn_k_norm: 'self_attn.k_norm',
      post_attention_norm: 'post_attention_layernorm',
      post_ffw_norm: 'post_feedforward_layernorm',
    },
    interleavedRope: false,
  },
  gemma2: {
    modelType: 'gemma2',
    className: 'Gemma2ForCausalLM',
    tensors: TENSORS,
    block: GEMMA_BLOCK,
    interleavedRope: false,
    restore: gemmaNorms,
    config: (facts) => ({
      hidden_activation: 'gelu_pytorch_tanh',
      query_pre_attn_scalar: gemmaQueryScale(46, facts),
      sliding_window: facts.number('attention.sliding_window') ?? 4096,
      attn_logit_softcapping: facts.number('attn_logit_softcapping') ?? 50,
      final_logit_softcapping: facts.number('final_logit_softcapping') ?? 30,
    }),
  },
  gemma3: {
    modelType: 'gemma3_text',
    className: 'Gemma3ForCausalLM',
    tensors: TENSORS,
    block: { ...GEMMA_BLOCK, attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' },
    interleavedRope: false,
    restore: gemmaNorms,
    config: (facts) => ({
      hidden_activation: 'gelu_pytorch_tanh',
      query_pre_attn_scalar: gemmaQueryScale(62, facts),
      sliding_window: facts.number('attention.sliding_window') ?? 1024,
      ...slidingLayers(facts),
      rope_theta: facts.number('rope.freq_base') ?? 1e6,
      rope_local_base_freq: facts.number('rope.freq_base_swa') ?? 1e4,
      final_logit_softcapping: facts.number('final_logit_softcapping') ?? null,
    }),
  },
  phi3: {
    modelType: 'phi3',
    className: 'Phi3ForCausalLM',
    tensors: TENSORS,
    block: { ...BLOCK, attn_qkv: 'self_attn.qkv_proj', ffn_up: 'mlp.gate_up_proj' },
    interleavedRope: false,
    rotates: 'part',
    hasRopeFactors: true,
    config: (facts) => {
      const { number, ropeFactors } = facts;
      const factor = number('rope.scaling.attn_factor');
      const window = number('attention.sliding_window') ?? 0;
      return {
        partial_rotary_factor: rotaryPart(facts),
        original_max_position_embeddings: number('rope.scaling.original_context_length') ?? number('context_length'),
        sliding_window: window > 0 ? window : null,
        ...(ropeFactors && {
          rope_scaling: {
            type: 'longrope',
            short_factor: [...ropeFactors.short],
            long_factor: [...ropeFactors.long],
            ...(factor !== undefined && { attention_factor: factor }),
          },
        }),
      };
    },
  },
  gpt2: {
    modelType: 'gpt2',
    className: 'GPT2LMHeadModel',
    tensors: { token_embd: 'wte', position_embd: 'wpe', output_norm: 'ln_f', output: 'lm_head' },
    layers: 'h',
    block: {
      attn_norm: 'ln_1',
      attn_qkv: 'attn.c_attn',
      attn_output: 'attn.c_proj',
      ffn_norm: 'ln_2',
      ffn_up: 'mlp.c_fc',
      ffn_down: 'mlp.c_proj',
    },
    interleavedRope: false,
    rotates: 'none',
    transposed: /^(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/,
    config: ({ number, sizes: { hiddenSize, layers, heads } }) => ({
      n_embd: hiddenSize,
      n_layer: layers,
      n_head: heads,
      n_positions: number('context_length'),
      n_inner: number('feed_forward_length'),
      layer_norm_epsilon: number('attention.layer_norm_epsilon'),
      activation_function: 'gelu_new',
    }),
  },
  gptneox: {
    modelType: 'gpt_neox',
    className: 'GPTNeoXForCausalLM',
    tensors: { token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm', output: 'embed_out' },
    layers: 'gpt_neox.layers',
    block: {
      attn_norm: 'input_layernorm',
      attn_qkv: 'attention.query_key_value',
      attn_output: 'attention.dense',
      ffn_norm: 'post_attention_layernorm',
      ffn_up: 'mlp.dense_h_to_4h',
      ffn_down: 'mlp.dense_4h_to_h',
    },
    interleavedRope: false,
    rotates: 'part',
    restore: (part, heads) => (part.startsWith('attn_qkv.') ? interleaveByHead(heads) : undefined),
    config: (facts) => ({
      hidden_act: 'gelu',
      layer_norm_eps: facts.number('attention.layer_norm_epsilon'),
      rotary_pct: rotaryPart(facts),
      rotary_emb_base: facts.number('rope.freq_base') ?? 10000,
      attention_bias: facts.has('blk.0.attn_qkv.bias'),
      use_parallel_residual: facts.flag('use_parallel_residual') ?? true,
    }),
  },
};
