import type { Json } from '../../json.ts';
import { gptOssBias, gptOssExperts, latentKeysAndValues } from './compositions.ts';
import type { ConfigFacts, GgufArchitecture } from './gguf-architecture.ts';
import { BLOCK, TENSORS } from './tensor-names.ts';

/** `expert_gating_func`: the function from the router's scores to weights. 0 stands for the architecture's default. */
const GATING = { softmax: 1, sigmoid: 2, softmaxOfChosen: 3 } as const;

/** Throws where the file routes otherwise than the published architecture: by another function, or with scaled weights. */
function expectRouting({ number, fail }: ConfigFacts, gating: number): void {
  const stored = number('expert_gating_func') ?? 0;
  if (stored !== 0 && stored !== gating) fail('expert_gating_func', `expected ${gating} or none, got ${stored}`);
  const scale = number('expert_weights_scale') ?? 0;
  if (scale !== 0 && scale !== 1) fail('expert_weights_scale', `expected 1 or none, got ${scale}`);
}

/** Mixtral's fields of config.json. */
function mixtralConfig(facts: ConfigFacts): Json {
  const { number } = facts;
  expectRouting(facts, GATING.softmax);
  return {
    num_local_experts: number('expert_count'),
    num_experts_per_tok: number('expert_used_count'),
    sliding_window: number('attention.sliding_window') ?? null,
  };
}

/** Qwen3 MoE's fields. llama.cpp always divides the weights of the chosen experts by their sum. */
function qwen3MoeConfig(facts: ConfigFacts): Json {
  const { number, flag, has, sizes } = facts;
  expectRouting(facts, GATING.softmax);
  return {
    num_experts: number('expert_count'),
    num_experts_per_tok: number('expert_used_count'),
    moe_intermediate_size: number('expert_feed_forward_length'),
    norm_topk_prob: flag('expert_weights_norm') ?? true,
    decoder_sparse_step: 1,
    mlp_only_layers: Array.from({ length: sizes.layers }, (_, layer) => layer).filter((layer) =>
      has(`blk.${layer}.ffn_gate.weight`),
    ),
  };
}

/** The fields of gpt-oss. Those in which all published models agree are not in the file. */
function gptOssConfig(facts: ConfigFacts): Json {
  const { number, typeOf, sizes, ropeScaling } = facts;
  expectRouting(facts, GATING.softmaxOfChosen);
  const packed = ['gate', 'up', 'down'].every((name) => typeOf(`blk.0.ffn_${name}_exps.weight`) === 'MXFP4');
  const notConverted = ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head'];
  return {
    intermediate_size: number('expert_feed_forward_length') ?? number('feed_forward_length'),
    num_local_experts: number('expert_count'),
    num_experts_per_tok: number('expert_used_count'),
    sliding_window: number('attention.sliding_window') ?? 128,
    layer_types: Array.from({ length: sizes.layers }, (_, layer) =>
      layer % 2 === 0 ? 'sliding_attention' : 'full_attention',
    ),
    swiglu_limit: 7,
    ...(ropeScaling?.rope_type === 'yarn' && {
      rope_scaling: {
        beta_fast: 32,
        beta_slow: 1,
        original_max_position_embeddings: 4096,
        ...ropeScaling,
        truncate: false,
      },
    }),
    ...(packed && { quantization_config: { quant_method: 'mxfp4', modules_to_not_convert: notConverted } }),
  };
}

/** Groups of experts in the published models by the number of experts: older conversions leave them out. */
const GROUPS = new Map([
  [160, { count: 8, kept: 3 }],
  [256, { count: 8, kept: 4 }],
]);

/** The fields of DeepSeek-V2 and V3, which have one name in llama.cpp. */
function deepseekConfig({ number, flag, has, fail, sizes, ropeScaling }: ConfigFacts): Json {
  const { layers, heads } = sizes;
  const ropeDim = number('rope.dimension_count') ?? 64;
  const firstDense = number('leading_dense_block_count') ?? 0;
  const experts = number('expert_count') ?? 0;
  const gating = number('expert_gating_func') ?? 0;
  if (gating > GATING.sigmoid)
    fail('expert_gating_func', `expected ${GATING.softmax} or ${GATING.sigmoid}, got ${gating}`);
  const isV3 = gating === GATING.sigmoid || has(`blk.${Math.min(firstDense, layers - 1)}.exp_probs_b.bias`);
  if (isV3 && gating === GATING.softmax)
    fail('expert_gating_func', `expected ${GATING.sigmoid} beside the biases of the router, got ${gating}`);
  const groups = number('expert_group_count') ?? GROUPS.get(experts)?.count ?? 1;
  const kept = number('expert_group_used_count') ?? GROUPS.get(experts)?.kept ?? 1;
  return {
    ...(isV3 && { model_type: 'deepseek_v3', architectures: ['DeepseekV3ForCausalLM'] }),
    head_dim: undefined,
    num_key_value_heads: heads,
    q_lora_rank: number('attention.q_lora_rank') ?? null,
    kv_lora_rank: number('attention.kv_lora_rank'),
    qk_rope_head_dim: ropeDim,
    qk_nope_head_dim: (number('attention.key_length_mla') ?? number('attention.key_length') ?? 192) - ropeDim,
    v_head_dim: number('attention.value_length_mla') ?? number('attention.value_length'),
    first_k_dense_replace: firstDense,
    moe_layer_freq: 1,
    moe_intermediate_size: number('expert_feed_forward_length'),
    n_routed_experts: experts,
    n_shared_experts: number('expert_shared_count') ?? 0,
    num_experts_per_tok: number('expert_used_count'),
    n_group: groups,
    topk_group: kept,
    norm_topk_prob: flag('expert_weights_norm') ?? false,
    routed_scaling_factor: number('expert_weights_scale') ?? 1,
    ...(isV3
      ? { scoring_func: 'sigmoid', topk_method: 'noaux_tc' }
      : { scoring_func: 'softmax', topk_method: groups > 1 ? 'group_limited_greedy' : 'greedy' }),
    rope_scaling: deepseekScaling(number, fail, ropeScaling),
  };
}

/** YaRN with DeepSeek's factor on the attention scores; the factor on cos and sin is 1 in all published models. */
function deepseekScaling(number: ConfigFacts['number'], fail: ConfigFacts['fail'], scaling: Json | null): Json | null {
  if (scaling?.rope_type !== 'yarn') return scaling;
  if (scaling.attention_factor !== undefined) fail('rope.scaling.attn_factor', 'expected 1 or none');
  // llama.cpp stores a tenth of it in f32.
  const magnitude = Number(((number('rope.scaling.yarn_log_multiplier') ?? 0.1) * 10).toPrecision(6));
  const { factor, beta_fast = 32, beta_slow = 1, original_max_position_embeddings = 4096 } = scaling;
  return {
    type: 'yarn',
    factor,
    beta_fast,
    beta_slow,
    mscale: magnitude,
    mscale_all_dim: magnitude,
    original_max_position_embeddings,
  };
}

const EXPERT_STACKS = {
  ffn_gate_exps: 'mlp.experts.*.gate_proj',
  ffn_up_exps: 'mlp.experts.*.up_proj',
  ffn_down_exps: 'mlp.experts.*.down_proj',
};

/** Mixtral, which llama.cpp stores as a `llama` with experts. */
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

/** The mixtures of experts, by `general.architecture`. */
export const MIXTURES: Readonly<Record<string, GgufArchitecture>> = {
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
    // Newer conversions store kv_b as two tensors.
    parts: ['attn_k_b.weight', 'attn_v_b.weight'],
    compose: (inner, from, published) =>
      inner.tensors.has(`${from}attn_k_b.weight`)
        ? [
            latentKeysAndValues(
              inner,
              `${published}self_attn.kv_b_proj.weight`,
              `${from}attn_k_b.weight`,
              `${from}attn_v_b.weight`,
            ),
          ]
        : [],
    config: deepseekConfig,
  },
};
