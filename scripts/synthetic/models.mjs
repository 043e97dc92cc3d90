// The shapes of published models: config.json, the tensors in the order of their files, and the division into files.

/**
 * The contents of a tensor: `weight`, normal numbers with a standard deviation of 0.02 in the dtype of the tensor (8-bit floats
 * have a tensor of `factor` beside them); `one`, for norms; `nibbles`, random bytes; `exponent`, MXFP4's scales, which make the
 * numbers of such bytes about 0.02.
 * @typedef {'weight' | 'one' | 'nibbles' | 'exponent' | 'factor'} Fill
 *
 * @typedef {{ name: string, dtype: 'BF16' | 'F32' | 'U8' | 'F8_E4M3', shape: number[], fill: Fill, same?: string }} Tensor
 *   `same`: the name of the tensor with the same numbers.
 *
 * @typedef {object} SyntheticModel
 * @property {Record<string, unknown>} config
 * @property {Record<string, unknown>} generationConfig
 * @property {Tensor[]} tensors In the order of the files.
 * @property {number} [shardBytes] The largest number of bytes in a file. Default: all tensors are in model.safetensors.
 * @property {(index: number, count: number) => string} [shardName] The name of a file, from index 0 on; needed with `shardBytes`.
 * @property {TokenizerShape} tokenizer
 *
 * @typedef {object} TokenizerShape
 * @property {string} preTokenizer Its name in llama.cpp's files.
 * @property {Record<string, number>} special The published ids of special tokens.
 * @property {string} bos
 * @property {string} eos
 * @property {string} chatTemplate
 */

/** @type {(name: string, shape: number[], fill?: Fill) => Tensor} */
const bf16 = (name, shape, fill = 'weight') => ({ name, dtype: 'BF16', shape, fill });

/** @type {(name: string, width: number) => Tensor} */
const norm = (name, width) => bf16(`${name}.weight`, [width], 'one');

/** The tensors of a linear layer. @type {(name: string, out: number, from: number, bias?: boolean) => Tensor[]} */
const linear = (name, out, from, bias = false) => [
  ...(bias ? [bf16(`${name}.bias`, [out])] : []),
  bf16(`${name}.weight`, [out, from]),
];

/**
 * The tensors of a linear layer in 8-bit floats with a scale for each block of 128 by 128. @type {(name: string, out: number,
 * from: number) => Tensor[]}
 */
const fp8Linear = (name, out, from) => [
  { name: `${name}.weight`, dtype: 'F8_E4M3', shape: [out, from], fill: 'weight' },
  {
    name: `${name}.weight_scale_inv`,
    dtype: 'F32',
    shape: [Math.ceil(out / 128), Math.ceil(from / 128)],
    fill: 'factor',
  },
];

/** @type {<T>(count: number, make: (index: number) => T[]) => T[]} */
const each = (count, make) => Array.from({ length: count }, (_, index) => make(index)).flat();

/** @type {(first: number, digits: number) => (index: number, count: number) => string} */
const shards = (first, digits) => (index, count) =>
  `model-${String(index + first).padStart(5, '0')}-of-${String(first === 0 ? count - 1 : count).padStart(digits, '0')}.safetensors`;

/**
 * @typedef {{ hidden_size: number, intermediate_size: number, num_hidden_layers: number, num_attention_heads: number,
 *   num_key_value_heads: number, vocab_size: number, head_dim?: number }} Sizes
 */

/**
 * The tensors of Llama, Qwen2 and Qwen3. @type {(config: Sizes, extra?: { bias?: boolean, qkNorm?: boolean, head?: 'own' |
 * 'copy' }) => Tensor[]}
 */
function llamaTensors(config, { bias = false, qkNorm = false, head } = {}) {
  const {
    hidden_size: D,
    intermediate_size: F,
    num_attention_heads: H,
    num_key_value_heads: K,
    vocab_size: V,
  } = config;
  const d = config.head_dim ?? D / H;
  const lmHead = bf16('lm_head.weight', [V, D]);
  return [
    ...(head === 'own' ? [lmHead] : head === 'copy' ? [{ ...lmHead, same: 'model.embed_tokens.weight' }] : []),
    bf16('model.embed_tokens.weight', [V, D]),
    ...each(config.num_hidden_layers, (layer) => {
      const at = `model.layers.${layer}`;
      return [
        norm(`${at}.input_layernorm`, D),
        ...linear(`${at}.self_attn.q_proj`, H * d, D, bias),
        ...linear(`${at}.self_attn.k_proj`, K * d, D, bias),
        ...linear(`${at}.self_attn.v_proj`, K * d, D, bias),
        ...linear(`${at}.self_attn.o_proj`, D, H * d),
        ...(qkNorm ? [norm(`${at}.self_attn.q_norm`, d), norm(`${at}.self_attn.k_norm`, d)] : []),
        norm(`${at}.post_attention_layernorm`, D),
        ...linear(`${at}.mlp.gate_proj`, F, D),
        ...linear(`${at}.mlp.up_proj`, F, D),
        ...linear(`${at}.mlp.down_proj`, D, F),
      ];
    }),
    norm('model.norm', D),
  ];
}

/** @type {(config: Sizes & { num_local_experts: number, head_dim: number }) => Tensor[]} */
function gptOssTensors(config) {
  const { hidden_size: D, intermediate_size: F, num_attention_heads: H, num_key_value_heads: K, head_dim: d } = config;
  const { vocab_size: V, num_local_experts: E } = config;
  /** @type {(name: string, out: number, from: number) => Tensor[]} */
  const experts = (name, out, from) => [
    bf16(`${name}_bias`, [E, out]),
    { name: `${name}_blocks`, dtype: 'U8', shape: [E, out, from / 32, 16], fill: 'nibbles' },
    { name: `${name}_scales`, dtype: 'U8', shape: [E, out, from / 32], fill: 'exponent' },
  ];
  const layers = each(config.num_hidden_layers, (layer) => [String(layer)]).sort();
  return [
    ...layers.flatMap((layer) => {
      const at = `model.layers.${layer}`;
      return [
        norm(`${at}.input_layernorm`, D),
        ...linear(`${at}.self_attn.o_proj`, D, H * d, true),
        bf16(`${at}.self_attn.q_proj.bias`, [H * d]),
        bf16(`${at}.self_attn.k_proj.bias`, [K * d]),
        bf16(`${at}.self_attn.v_proj.bias`, [K * d]),
        bf16(`${at}.self_attn.q_proj.weight`, [H * d, D]),
        bf16(`${at}.self_attn.k_proj.weight`, [K * d, D]),
        bf16(`${at}.self_attn.v_proj.weight`, [K * d, D]),
        bf16(`${at}.self_attn.sinks`, [H]),
        ...linear(`${at}.mlp.router`, E, D, true),
        ...experts(`${at}.mlp.experts.gate_up_proj`, 2 * F, D),
        ...experts(`${at}.mlp.experts.down_proj`, D, F),
        norm(`${at}.post_attention_layernorm`, D),
      ];
    }),
    bf16('model.embed_tokens.weight', [V, D]),
    norm('model.norm', D),
    bf16('lm_head.weight', [V, D]),
  ];
}

/**
 * @typedef {Sizes & { q_lora_rank: number | null, kv_lora_rank: number, qk_nope_head_dim: number, qk_rope_head_dim: number,
 *   v_head_dim: number, first_k_dense_replace: number, n_routed_experts: number, n_shared_experts: number,
 *   moe_intermediate_size: number }} DeepseekSizes
 */

/** @type {(config: DeepseekSizes, format: { fp8: boolean, bias: boolean }) => Tensor[]} */
function deepseekTensors(config, { fp8, bias }) {
  const { hidden_size: D, num_attention_heads: H, vocab_size: V, q_lora_rank: Q, kv_lora_rank: R } = config;
  const { qk_nope_head_dim: n, qk_rope_head_dim: r, v_head_dim: v, n_routed_experts: E } = config;
  /** @type {(name: string, out: number, from: number) => Tensor[]} */
  const layer = fp8 ? fp8Linear : linear;
  /** @type {(at: string, width: number) => Tensor[]} */
  const mlp = (at, F) => [
    ...layer(`${at}.gate_proj`, F, D),
    ...layer(`${at}.up_proj`, F, D),
    ...layer(`${at}.down_proj`, D, F),
  ];
  /** @type {(at: string) => Tensor[]} */
  const mixture = (at) => [
    ...each(E, (expert) => mlp(`${at}.experts.${expert}`, config.moe_intermediate_size)),
    bf16(`${at}.gate.weight`, [E, D]),
    .../** @type {Tensor[]} */ (
      bias ? [{ name: `${at}.gate.e_score_correction_bias`, dtype: 'F32', shape: [E], fill: 'weight' }] : []
    ),
    ...mlp(`${at}.shared_experts`, config.n_shared_experts * config.moe_intermediate_size),
  ];
  return [
    bf16('model.embed_tokens.weight', [V, D]),
    ...each(config.num_hidden_layers, (index) => {
      const at = `model.layers.${index}`;
      return [
        ...(Q === null
          ? layer(`${at}.self_attn.q_proj`, H * (n + r), D)
          : [
              ...layer(`${at}.self_attn.q_a_proj`, Q, D),
              norm(`${at}.self_attn.q_a_layernorm`, Q),
              ...layer(`${at}.self_attn.q_b_proj`, H * (n + r), Q),
            ]),
        ...layer(`${at}.self_attn.kv_a_proj_with_mqa`, R + r, D),
        norm(`${at}.self_attn.kv_a_layernorm`, R),
        ...layer(`${at}.self_attn.kv_b_proj`, H * (n + v), R),
        ...layer(`${at}.self_attn.o_proj`, D, H * v),
        ...(index < config.first_k_dense_replace ? mlp(`${at}.mlp`, config.intermediate_size) : mixture(`${at}.mlp`)),
        norm(`${at}.input_layernorm`, D),
        norm(`${at}.post_attention_layernorm`, D),
      ];
    }),
    norm('model.norm', D),
    bf16('lm_head.weight', [V, D]),
  ];
}

const COMMON = {
  attention_dropout: 0,
  hidden_act: 'silu',
  initializer_range: 0.02,
  torch_dtype: 'bfloat16',
  use_cache: true,
};

/**
 * A chat template that writes each message between `head` and `tail`. @type {(head: string, tail: string, assistant: string,
 * before?: string) => string}
 */
const turns = (head, tail, assistant, before = '') =>
  `${before}{% for message in messages %}${head}{{ message.content }}${tail}{% endfor %}` +
  `{% if add_generation_prompt %}${assistant}{% endif %}`;

/** @type {(family: 'v2' | 'v3') => string} */
const deepseekTemplate = (family) =>
  family === 'v2'
    ? turns('{{ message.role | capitalize }}: ', '\n\n', 'Assistant:', '{{ bos_token }}')
    : turns('<｜{{ message.role | capitalize }}｜>', '', '<｜Assistant｜>', '{{ bos_token }}');

const HARMONY = {
  startoftext: 199998,
  endoftext: 199999,
  return: 200002,
  constrain: 200003,
  channel: 200005,
  start: 200006,
  end: 200007,
  message: 200008,
  call: 200012,
  endofprompt: 200018,
};

/** @type {(from: number, to: number, name: (index: number) => string) => Record<string, number>} */
const reserved = (from, to, name) => Object.fromEntries(each(to - from, (index) => [[name(index), from + index]]));

/** @param {Partial<{ [size: string]: number }>} [sizes] Sizes that replace the published ones. @returns {SyntheticModel} */
export function gptOss20b(sizes = {}) {
  const config = {
    architectures: ['GptOssForCausalLM'],
    attention_bias: true,
    eos_token_id: 200002,
    experts_per_token: 4,
    head_dim: 64,
    hidden_size: 2880,
    initial_context_length: 4096,
    intermediate_size: 2880,
    max_position_embeddings: 131072,
    model_type: 'gpt_oss',
    num_attention_heads: 64,
    num_experts_per_tok: 4,
    num_hidden_layers: 24,
    num_key_value_heads: 8,
    num_local_experts: 32,
    output_router_logits: false,
    pad_token_id: 199999,
    quantization_config: {
      modules_to_not_convert: [
        'model.layers.*.self_attn',
        'model.layers.*.mlp.router',
        'model.embed_tokens',
        'lm_head',
      ],
      quant_method: 'mxfp4',
    },
    rms_norm_eps: 1e-5,
    rope_scaling: {
      beta_fast: 32,
      beta_slow: 1,
      factor: 32,
      original_max_position_embeddings: 4096,
      rope_type: 'yarn',
      truncate: false,
    },
    rope_theta: 150000,
    router_aux_loss_coef: 0.9,
    sliding_window: 128,
    swiglu_limit: 7,
    tie_word_embeddings: false,
    vocab_size: 201088,
    ...COMMON,
    ...sizes,
  };
  const types = each(config.num_hidden_layers, (layer) => [layer % 2 === 0 ? 'sliding_attention' : 'full_attention']);
  const named = Object.fromEntries(Object.entries(HARMONY).map(([name, id]) => [`<|${name}|>`, id]));
  return {
    config: { ...config, layer_types: types },
    generationConfig: {
      bos_token_id: 199998,
      do_sample: true,
      eos_token_id: [200002, 199999, 200012],
      pad_token_id: 199999,
    },
    tensors: gptOssTensors(config),
    shardBytes: 4.8e9,
    shardName: shards(0, 5),
    tokenizer: {
      preTokenizer: 'gpt-4o',
      special: { ...reserved(199998, 200019, (index) => `<|reserved_${199998 + index}|>`), ...named },
      bos: '<|startoftext|>',
      eos: '<|return|>',
      chatTemplate: turns('<|start|>{{ message.role }}<|message|>', '<|end|>', '<|start|>assistant'),
    },
  };
}

/** @returns {SyntheticModel} */
export function qwen3() {
  const config = {
    architectures: ['Qwen3ForCausalLM'],
    attention_bias: false,
    bos_token_id: 151643,
    eos_token_id: 151645,
    head_dim: 128,
    hidden_size: 1024,
    intermediate_size: 3072,
    max_position_embeddings: 40960,
    max_window_layers: 28,
    model_type: 'qwen3',
    num_attention_heads: 16,
    num_hidden_layers: 28,
    num_key_value_heads: 8,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 1000000,
    sliding_window: null,
    tie_word_embeddings: true,
    use_sliding_window: false,
    vocab_size: 151936,
    ...COMMON,
  };
  return {
    config,
    generationConfig: {
      bos_token_id: 151643,
      do_sample: true,
      eos_token_id: [151645, 151643],
      pad_token_id: 151643,
      temperature: 0.6,
      top_k: 20,
      top_p: 0.95,
    },
    // The published file has lm_head as well, although it is tied.
    tensors: llamaTensors(config, { qkNorm: true, head: 'copy' }),
    tokenizer: {
      preTokenizer: 'qwen2',
      special: {
        '<|endoftext|>': 151643,
        '<|im_start|>': 151644,
        '<|im_end|>': 151645,
        '<think>': 151667,
        '</think>': 151668,
      },
      bos: '<|endoftext|>',
      eos: '<|im_end|>',
      chatTemplate: turns('<|im_start|>{{ message.role }}\n', '<|im_end|>\n', '<|im_start|>assistant\n'),
    },
  };
}

/** @returns {SyntheticModel} */
export function llama32() {
  const config = {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    bos_token_id: 128000,
    eos_token_id: 128001,
    head_dim: 64,
    hidden_size: 2048,
    intermediate_size: 8192,
    max_position_embeddings: 131072,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: 32,
    num_hidden_layers: 16,
    num_key_value_heads: 8,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 32,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: 'llama3',
    },
    rope_theta: 500000,
    tie_word_embeddings: true,
    vocab_size: 128256,
    ...COMMON,
  };
  const roles = { start_header_id: 128006, end_header_id: 128007, eom_id: 128008, eot_id: 128009 };
  return {
    config,
    generationConfig: { bos_token_id: 128000, do_sample: true, eos_token_id: 128001, temperature: 0.6, top_p: 0.9 },
    tensors: llamaTensors(config),
    tokenizer: {
      preTokenizer: 'llama-bpe',
      special: {
        '<|begin_of_text|>': 128000,
        '<|end_of_text|>': 128001,
        ...Object.fromEntries(Object.entries(roles).map(([name, id]) => [`<|${name}|>`, id])),
      },
      bos: '<|begin_of_text|>',
      eos: '<|end_of_text|>',
      chatTemplate: turns(
        '<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n',
        '<|eot_id|>',
        '<|start_header_id|>assistant<|end_header_id|>\n\n',
        '{{ bos_token }}',
      ),
    },
  };
}

/** @returns {SyntheticModel} */
export function r1Distill() {
  const config = {
    architectures: ['Qwen2ForCausalLM'],
    bos_token_id: 151643,
    eos_token_id: 151643,
    hidden_size: 1536,
    intermediate_size: 8960,
    max_position_embeddings: 131072,
    max_window_layers: 21,
    model_type: 'qwen2',
    num_attention_heads: 12,
    num_hidden_layers: 28,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    sliding_window: 4096,
    tie_word_embeddings: false,
    use_mrope: false,
    use_sliding_window: false,
    vocab_size: 151936,
    ...COMMON,
  };
  return {
    config,
    generationConfig: { bos_token_id: 151646, do_sample: true, eos_token_id: 151643, temperature: 0.6, top_p: 0.95 },
    tensors: llamaTensors(config, { bias: true, head: 'own' }),
    tokenizer: {
      preTokenizer: 'deepseek-r1-qwen',
      special: {
        '<｜end▁of▁sentence｜>': 151643,
        '<｜User｜>': 151644,
        '<｜Assistant｜>': 151645,
        '<｜begin▁of▁sentence｜>': 151646,
        '<think>': 151648,
        '</think>': 151649,
      },
      bos: '<｜begin▁of▁sentence｜>',
      eos: '<｜end▁of▁sentence｜>',
      chatTemplate: `${deepseekTemplate('v3')}{% if add_generation_prompt %}<think>\n{% endif %}`,
    },
  };
}

const YARN = { beta_fast: 32, beta_slow: 1, factor: 40, original_max_position_embeddings: 4096, type: 'yarn' };

/** @param {Partial<{ [size: string]: number }>} [sizes] Sizes that replace the published ones. @returns {SyntheticModel} */
export function deepseekV2Lite(sizes = {}) {
  const config = {
    architectures: ['DeepseekV2ForCausalLM'],
    attention_bias: false,
    aux_loss_alpha: 0.001,
    bos_token_id: 100000,
    eos_token_id: 100001,
    first_k_dense_replace: 1,
    hidden_size: 2048,
    intermediate_size: 10944,
    kv_lora_rank: 512,
    max_position_embeddings: 163840,
    model_type: 'deepseek_v2',
    moe_intermediate_size: 1408,
    moe_layer_freq: 1,
    n_group: 1,
    n_routed_experts: 64,
    n_shared_experts: 2,
    norm_topk_prob: false,
    num_attention_heads: 16,
    num_experts_per_tok: 6,
    num_hidden_layers: 4,
    num_key_value_heads: 16,
    pretraining_tp: 1,
    q_lora_rank: null,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    rms_norm_eps: 1e-6,
    rope_scaling: { ...YARN, mscale: 0.707, mscale_all_dim: 0.707 },
    rope_theta: 10000,
    routed_scaling_factor: 1,
    scoring_func: 'softmax',
    seq_aux: true,
    tie_word_embeddings: false,
    topk_group: 1,
    topk_method: 'greedy',
    v_head_dim: 128,
    vocab_size: 102400,
    ...COMMON,
    ...sizes,
  };
  return {
    config,
    generationConfig: { bos_token_id: 100000, do_sample: true, eos_token_id: 100001, temperature: 0.3, top_p: 0.95 },
    tensors: deepseekTensors(config, { fp8: false, bias: false }),
    shardBytes: 8.6e9,
    shardName: shards(1, 6),
    tokenizer: {
      preTokenizer: 'deepseek-llm',
      special: { '<｜begin▁of▁sentence｜>': 100000, '<｜end▁of▁sentence｜>': 100001 },
      bos: '<｜begin▁of▁sentence｜>',
      eos: '<｜end▁of▁sentence｜>',
      chatTemplate: deepseekTemplate('v2'),
    },
  };
}

/**
 * DeepSeek-V3, cut to one layer with an MLP and one with experts.
 * @param {Partial<{ [size: string]: number }>} [sizes] Sizes that replace the published ones.
 * @returns {SyntheticModel}
 */
export function deepseekV3(sizes = {}) {
  const config = {
    architectures: ['DeepseekV3ForCausalLM'],
    attention_bias: false,
    bos_token_id: 0,
    eos_token_id: 1,
    ep_size: 1,
    first_k_dense_replace: 1,
    hidden_size: 7168,
    intermediate_size: 18432,
    kv_lora_rank: 512,
    max_position_embeddings: 163840,
    model_type: 'deepseek_v3',
    moe_intermediate_size: 2048,
    moe_layer_freq: 1,
    n_group: 8,
    n_routed_experts: 256,
    n_shared_experts: 1,
    norm_topk_prob: true,
    num_attention_heads: 128,
    num_experts_per_tok: 8,
    num_hidden_layers: 2,
    num_key_value_heads: 128,
    num_nextn_predict_layers: 0,
    q_lora_rank: 1536,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    quantization_config: {
      activation_scheme: 'dynamic',
      fmt: 'e4m3',
      quant_method: 'fp8',
      weight_block_size: [128, 128],
    },
    rms_norm_eps: 1e-6,
    rope_scaling: { ...YARN, mscale: 1, mscale_all_dim: 1 },
    rope_theta: 10000,
    routed_scaling_factor: 2.5,
    scoring_func: 'sigmoid',
    tie_word_embeddings: false,
    topk_group: 4,
    topk_method: 'noaux_tc',
    v_head_dim: 128,
    vocab_size: 129280,
    ...COMMON,
    ...sizes,
  };
  return {
    config,
    generationConfig: { bos_token_id: 0, do_sample: true, eos_token_id: 1, temperature: 0.6, top_p: 0.95 },
    tensors: deepseekTensors(config, { fp8: true, bias: true }),
    shardBytes: 5.3e9,
    shardName: shards(1, 6),
    tokenizer: {
      preTokenizer: 'deepseek-v3',
      special: {
        '<｜begin▁of▁sentence｜>': 0,
        '<｜end▁of▁sentence｜>': 1,
        '<｜▁pad▁｜>': 2,
        '<｜User｜>': 128803,
        '<｜Assistant｜>': 128804,
        '<think>': 128798,
        '</think>': 128799,
      },
      bos: '<｜begin▁of▁sentence｜>',
      eos: '<｜end▁of▁sentence｜>',
      chatTemplate: deepseekTemplate('v3'),
    },
  };
}

/**
 * The models by their names on the command line. @type {Readonly<Record<string, { describe: string, model: () => SyntheticModel
 * }>>}
 */
export const MODELS = {
  'gpt-oss-20b': { describe: 'MXFP4 experts, three files', model: gptOss20b },
  'Qwen3-0.6B': { describe: 'bf16', model: qwen3 },
  'Llama-3.2-1B': { describe: 'bf16', model: llama32 },
  'DeepSeek-R1-Distill-Qwen-1.5B': { describe: 'bf16', model: r1Distill },
  'DeepSeek-V2-Lite': { describe: 'bf16, cut to 4 of 27 layers', model: deepseekV2Lite },
  'DeepSeek-V3': {
    describe: 'FP8 with block factors, cut to 2 of 61 layers, of which the second has experts',
    model: deepseekV3,
  },
};

const BYTES = { BF16: 2, F32: 4, U8: 1, F8_E4M3: 1 };

/** @param {Tensor} tensor */
export const bytesOf = ({ dtype, shape }) => shape.reduce((product, size) => product * size, BYTES[dtype]);

/** The tensors of each file. @param {SyntheticModel} model @returns {Map<string, Tensor[]>} */
export function filesOf({ tensors, shardBytes, shardName }) {
  if (shardBytes === undefined || shardName === undefined) return new Map([['model.safetensors', tensors]]);
  /** @type {Tensor[][]} */
  const files = [[]];
  let room = shardBytes;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (bytes > room && files[files.length - 1].length > 0) {
      files.push([]);
      room = shardBytes;
    }
    files[files.length - 1].push(tensor);
    room -= bytes;
  }
  return new Map(files.map((inFile, index) => [shardName(index, files.length), inFile]));
}
