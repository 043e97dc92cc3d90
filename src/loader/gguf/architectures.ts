import type { Json } from '../../json.ts';
import type { GgufCheckpoint } from './gguf-checkpoint.ts';
import { type Composed, gptOssBias, gptOssExperts, latentKeysAndValues } from './composed.ts';
import { deepseekConfig, gptOssConfig, mixtralConfig, qwen3MoeConfig } from './mixtures.ts';
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
  /** Tensors of a block whose published names have no suffix, by their names with it. */
  readonly whole?: Readonly<Record<string, string>>;
  /** Default: `model.layers`. */
  readonly layers?: string;
  /** Whether the rows of q and k were reordered, per head, from half-split to interleaved rotation. */
  readonly interleavedRope: boolean;
  /** Of a head: all dimensions (the default), a part that `rope.dimension_count` gives, or none. */
  readonly rotates?: 'whole' | 'part' | 'none';
  /** Whether it may have divisors of the frequencies for short and for long texts as tensors. */
  readonly hasRopeFactors?: boolean;
  /** What else the conversion did to a tensor, by its name without the block, such as `attn_norm.weight`. */
  readonly restore?: (part: string, heads: number) => Restore | undefined;
  /** Matrices whose published shape is the other way round. */
  readonly transposed?: RegExp;
  /** Stacks of a block, of which each member is a published tensor of its own: `*` stands for its number. */
  readonly stacks?: Readonly<Record<string, string>>;
  /** Tensors of a block that are parts of published ones, by their names with the suffix. */
  readonly parts?: readonly string[];
  /** What is published of the parts of a block, whose tensors have names that begin with `from`. */
  readonly compose?: (inner: GgufCheckpoint, from: string, published: string) => Composed[];
  /** What config.json says beyond, or instead of, what all architectures have in common. */
  readonly config?: (facts: ConfigFacts) => Readonly<Record<string, unknown>>;
}

/** What an architecture's config is made of. */
export interface ConfigFacts {
  /** Numbers and flags under the architecture's own prefix; numbers as the shortest decimal that is the same f32. */
  readonly number: (key: string) => number | undefined;
  readonly flag: (key: string) => boolean | undefined;
  /** Flags for each layer, where they are an array. */
  readonly flags: (key: string) => readonly boolean[] | undefined;
  readonly fail: (key: string, problem: string) => never;
  /** Whether the file has a tensor, by llama.cpp's name. */
  readonly has: (name: string) => boolean;
  /** The type of a tensor that the file has. */
  readonly typeOf: (name: string) => string | undefined;
  readonly sizes: {
    readonly hiddenSize: number;
    readonly layers: number;
    readonly heads: number;
    readonly headDim: number;
  };
  /** `rope_factors_long.weight` and `rope_factors_short.weight`. */
  readonly ropeFactors: { readonly long: Float32Array; readonly short: Float32Array } | undefined;
  /** `rope_scaling`, as most architectures have it. */
  readonly ropeScaling: Json | null;
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

/** Newer conversions write for each layer whether it slides, older ones every how many layers one does not. */
function slidingLayers({ flags, number }: ConfigFacts): Json {
  const slides = flags('attention.sliding_window_pattern');
  if (slides === undefined) return { sliding_window_pattern: number('attention.sliding_window_pattern') ?? 6 };
  return { layer_types: slides.map((it) => (it ? 'sliding_attention' : 'full_attention')) };
}

const gemmaNorms = (part: string): Restore | undefined => (part.endsWith('_norm.weight') ? lessOne : undefined);

/** Part of a head is rotated: `rope.dimension_count` of its dimensions. */
const rotaryPart = ({ number, sizes: { headDim } }: ConfigFacts): number =>
  (number('rope.dimension_count') ?? headDim) / headDim;

const EXPERT_STACKS = {
  ffn_gate_exps: 'mlp.experts.*.gate_proj',
  ffn_up_exps: 'mlp.experts.*.up_proj',
  ffn_down_exps: 'mlp.experts.*.down_proj',
};

/** llama.cpp has no architecture of its own for Mixtral: a llama that has experts is one. */
export const MIXTRAL: GgufArchitecture = {
  modelType: 'mixtral',
  className: 'MixtralForCausalLM',
  tensors: TENSORS,
  block: { ...BLOCK, ffn_gate_inp: 'block_sparse_moe.gate' },
  interleavedRope: true,
  stacks: {
    ffn_gate_exps: 'block_sparse_moe.experts.*.w1',
    ffn_down_exps: 'block_sparse_moe.experts.*.w2',
    ffn_up_exps: 'block_sparse_moe.experts.*.w3',
  },
  config: mixtralConfig,
};

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
  qwen3moe: {
    modelType: 'qwen3_moe',
    className: 'Qwen3MoeForCausalLM',
    tensors: TENSORS,
    block: {
      ...BLOCK,
      attn_q_norm: 'self_attn.q_norm',
      attn_k_norm: 'self_attn.k_norm',
      ffn_gate_inp: 'mlp.gate',
    },
    interleavedRope: false,
    stacks: EXPERT_STACKS,
    config: qwen3MoeConfig,
  },
  'gpt-oss': {
    modelType: 'gpt_oss',
    className: 'GptOssForCausalLM',
    tensors: TENSORS,
    block: {
      ...BLOCK,
      post_attention_norm: 'post_attention_layernorm',
      ffn_gate_inp: 'mlp.router',
    },
    whole: { 'attn_sinks.weight': 'self_attn.sinks' },
    interleavedRope: false,
    parts: ['gate', 'up', 'down'].flatMap((name) => [`ffn_${name}_exps.weight`, `ffn_${name}_exps.bias`]),
    compose: (inner, from, published) => {
      const [gate, up, down] = ['gate', 'up', 'down'].map((name) => `${from}ffn_${name}_exps`);
      const [gateUp, downward] = ['gate_up_proj', 'down_proj'].map((name) => `${published}mlp.experts.${name}`);
      return [
        ...gptOssExperts(inner, gateUp, [`${gate}.weight`, `${up}.weight`]),
        gptOssBias(inner, `${gateUp}_bias`, [`${gate}.bias`, `${up}.bias`]),
        ...gptOssExperts(inner, downward, [`${down}.weight`]),
        gptOssBias(inner, `${downward}_bias`, [`${down}.bias`]),
      ];
    },
    config: gptOssConfig,
  },
  deepseek2: {
    modelType: 'deepseek_v2',
    className: 'DeepseekV2ForCausalLM',
    tensors: TENSORS,
    block: {
      ...BLOCK,
      attn_q_a: 'self_attn.q_a_proj',
      attn_q_a_norm: 'self_attn.q_a_layernorm',
      attn_q_b: 'self_attn.q_b_proj',
      attn_kv_a_mqa: 'self_attn.kv_a_proj_with_mqa',
      attn_kv_a_norm: 'self_attn.kv_a_layernorm',
      attn_kv_b: 'self_attn.kv_b_proj',
      ffn_gate_inp: 'mlp.gate',
      ffn_gate_shexp: 'mlp.shared_experts.gate_proj',
      ffn_up_shexp: 'mlp.shared_experts.up_proj',
      ffn_down_shexp: 'mlp.shared_experts.down_proj',
    },
    whole: { 'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias' },
    interleavedRope: false,
    rotates: 'part',
    stacks: EXPERT_STACKS,
    // Newer conversions have kv_b in two parts.
    parts: ['attn_k_b.weight', 'attn_v_b.weight'],
    compose: (inner, from, published) =>
      inner.tensors.has(`${from}attn_k_b.weight`)
        ? [latentKeysAndValues(inner, `${published}self_attn.kv_b_proj.weight`, `${from}attn_k_b.weight`, `${from}attn_v_b.weight`)] // prettier-ignore
        : [],
    config: deepseekConfig,
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

/**
 * The published name of a tensor, with `*` for the number of a member where it is a stack of published ones; undefined
 * where the architecture has no such tensor.
 */
export function publishedName(
  { tensors, block, stacks = {}, whole = {}, layers = 'model.layers' }: GgufArchitecture,
  name: string,
): string | undefined {
  const parts = /^(?:blk\.(0|[1-9][0-9]*)\.)?([a-z_]+)\.(weight|bias)$/.exec(name);
  if (parts === null) return undefined;
  const [, layer, part, suffix] = parts as unknown as [string, string | undefined, string, string];
  const own = `${part}.${suffix}`;
  if (layer !== undefined && Object.hasOwn(whole, own)) return `${layers}.${layer}.${whole[own]}`;
  const table = layer === undefined ? tensors : { ...block, ...stacks };
  if (!Object.hasOwn(table, part)) return undefined;
  return `${layer === undefined ? '' : `${layers}.${layer}.`}${table[part]}.${suffix}`;
}
