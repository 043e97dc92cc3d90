import { byHead, lessOne, type Restore } from './restore.ts';

/**
 * How llama.cpp's names and habits for an architecture translate to the published ones. A new architecture is a new row.
 * Names: TENSOR_NAMES in constants.py of llama.cpp's Python package gguf.
 */
export interface GgufArchitecture {
  /** `model_type` and the class name in config.json. */
  readonly modelType: string;
  readonly className: string;
  /** Tensors outside the blocks, without `.weight` or `.bias`. */
  readonly tensors: Readonly<Record<string, string>>;
  /** Tensors of a block: `blk.N.NAME` becomes `LAYERS.N.VALUE`. */
  readonly block: Readonly<Record<string, string>>;
  /** Default: `model.layers`. */
  readonly layers?: string;
  /** Whether the rows of q and k were reordered, per head, from half-split to interleaved rotation. */
  readonly interleavedRope: boolean;
  /** What else the conversion did to a tensor, by its name without the block, such as `attn_norm.weight`. */
  readonly restore?: (part: string, heads: number) => Restore | undefined;
  /** Matrices whose published shape is the other way round. */
  readonly turned?: RegExp;
  /** What config.json says beyond, or instead of, what all architectures have in common. */
  readonly config?: (facts: ConfigFacts) => Readonly<Record<string, unknown>>;
}

/** What an architecture's config is made of. */
export interface ConfigFacts {
  /** Numbers and flags under the architecture's own prefix; numbers as the shortest decimal that is the same f32. */
  readonly number: (key: string) => number | undefined;
  readonly flag: (key: string) => boolean | undefined;
  /** Whether the file has a tensor, by llama.cpp's name. */
  readonly has: (name: string) => boolean;
  readonly sizes: {
    readonly hiddenSize: number;
    readonly layers: number;
    readonly heads: number;
    readonly headDim: number;
  };
  /** `rope_factors_long.weight` and `rope_factors_short.weight`. */
  readonly ropeFactors: { readonly long: Float32Array; readonly short: Float32Array } | undefined;
}

const TENSORS = { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' };

const BLOCK = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

const GEMMA_BLOCK = {
  ...BLOCK,
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

/** Of the largest Gemmas, queries are scaled by the width per head; llama.cpp knows them by their number of layers. */
const gemmaQueryScale = (largest: number, { sizes: { hiddenSize, layers, heads, headDim } }: ConfigFacts): number =>
  layers === largest ? hiddenSize / heads : headDim;

const gemmaNorms = (part: string): Restore | undefined => (part.endsWith('_norm.weight') ? lessOne : undefined);

/** Part of a head turns: `rope.dimension_count` of its dimensions. */
const rotaryPart = ({ number, sizes: { headDim } }: ConfigFacts): number =>
  (number('rope.dimension_count') ?? headDim) / headDim;

/** By `general.architecture`. */
export const ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  // Llama 1 to 3.3, SmolLM2, TinyLlama, Mistral: llama.cpp calls them all llama.
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
      sliding_window_pattern: facts.number('attention.sliding_window_pattern') ?? 6,
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
    config: (facts) => {
      const { number, ropeFactors } = facts;
      const factor = number('rope.scaling.attn_factor');
      const window = number('attention.sliding_window') ?? 0;
      return {
        partial_rotary_factor: rotaryPart(facts),
        original_max_position_embeddings: number('rope.scaling.original_context_length') ?? number('context_length'),
        sliding_window: window > 0 ? window : null,
        rope_scaling: ropeFactors
          ? {
              type: 'longrope',
              short_factor: [...ropeFactors.short],
              long_factor: [...ropeFactors.long],
              ...(factor !== undefined && { attention_factor: factor }),
            }
          : null,
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
    turned: /^(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/,
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
    restore: (part, heads) => (part.startsWith('attn_qkv.') ? byHead(heads) : undefined),
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

/** The published name of a tensor, or undefined where the architecture has no such tensor. */
export function publishedName(
  { tensors, block, layers = 'model.layers' }: GgufArchitecture,
  name: string,
): string | undefined {
  const parts = /^(?:blk\.(0|[1-9][0-9]*)\.)?([a-z_]+)\.(weight|bias)$/.exec(name);
  if (parts === null) return undefined;
  const [, layer, part, suffix] = parts as unknown as [string, string | undefined, string, string];
  const table = layer === undefined ? tensors : block;
  if (!Object.hasOwn(table, part)) return undefined;
  return `${layer === undefined ? '' : `${layers}.${layer}.`}${table[part]}.${suffix}`;
}
