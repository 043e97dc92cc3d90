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
  /** Tensors of a block: `blk.N.NAME` becomes `model.layers.N.VALUE`. */
  readonly block: Readonly<Record<string, string>>;
  /** Whether the rows of q and k were reordered, per head, from half-split to interleaved rotation. */
  readonly interleavedRope: boolean;
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
};

/** The published name of a tensor, or undefined where the architecture has no such tensor. */
export function publishedName({ tensors, block }: GgufArchitecture, name: string): string | undefined {
  const parts = /^(?:blk\.(0|[1-9][0-9]*)\.)?([a-z_]+)\.(weight|bias)$/.exec(name);
  if (parts === null) return undefined;
  const [, layer, part, suffix] = parts as unknown as [string, string | undefined, string, string];
  const table = layer === undefined ? tensors : block;
  if (!Object.hasOwn(table, part)) return undefined;
  return `${layer === undefined ? '' : `model.layers.${layer}.`}${table[part]}.${suffix}`;
}
