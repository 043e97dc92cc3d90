import type { ConfigFacts } from './architectures.ts';

type Json = Readonly<Record<string, unknown>>;

/** What config.json says of the experts of Mixtral. */
export const mixtralConfig = ({ number }: ConfigFacts): Json => ({
  num_local_experts: number('expert_count'),
  num_experts_per_tok: number('expert_used_count'),
  sliding_window: null,
});

/** Qwen3 MoE. llama.cpp always divides the weights of the chosen experts by their sum. */
export const qwen3MoeConfig = ({ number, flag, has, sizes: { layers } }: ConfigFacts): Json => ({
  num_experts: number('expert_count'),
  num_experts_per_tok: number('expert_used_count'),
  moe_intermediate_size: number('expert_feed_forward_length'),
  norm_topk_prob: flag('expert_weights_norm') ?? true,
  decoder_sparse_step: 1,
  mlp_only_layers: Array.from({ length: layers }, (_, layer) => layer).filter((layer) =>
    has(`blk.${layer}.ffn_gate.weight`),
  ),
});

/** gpt-oss. What all published models have in common is not in the file. */
export const gptOssConfig = ({ number, typeOf, sizes: { layers } }: ConfigFacts): Json => {
  const factor = number('rope.scaling.factor');
  const packed = ['gate', 'up', 'down'].every((name) => typeOf(`blk.0.ffn_${name}_exps.weight`) === 'MXFP4');
  const notConverted = ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head'];
  return {
    intermediate_size: number('expert_feed_forward_length') ?? number('feed_forward_length'),
    num_local_experts: number('expert_count'),
    num_experts_per_tok: number('expert_used_count'),
    sliding_window: number('attention.sliding_window') ?? 128,
    layer_types: Array.from({ length: layers }, (_, layer) =>
      layer % 2 === 0 ? 'sliding_attention' : 'full_attention',
    ),
    swiglu_limit: 7,
    rope_scaling:
      factor === undefined
        ? null
        : {
            rope_type: 'yarn',
            factor,
            beta_fast: number('rope.scaling.yarn_beta_fast') ?? 32,
            beta_slow: number('rope.scaling.yarn_beta_slow') ?? 1,
            original_max_position_embeddings: number('rope.scaling.original_context_length') ?? 4096,
            truncate: false,
          },
    ...(packed && { quantization_config: { quant_method: 'mxfp4', modules_to_not_convert: notConverted } }),
  };
};

/** `expert_gating_func` of DeepSeek-V3. */
const SIGMOID = 2;

/** Groups of experts of the published models, which older conversions do not write, by the number of experts. */
const GROUPS = new Map([
  [160, { count: 8, kept: 3 }],
  [256, { count: 8, kept: 4 }],
]);

/** DeepSeek-V2 and V3, which llama.cpp calls alike. */
export const deepseekConfig = ({ number, flag, has, sizes: { layers, heads } }: ConfigFacts): Json => {
  const ropeDim = number('rope.dimension_count') ?? 64;
  const firstDense = number('leading_dense_block_count') ?? 0;
  const experts = number('expert_count') ?? 0;
  const isV3 =
    number('expert_gating_func') === SIGMOID || has(`blk.${Math.min(firstDense, layers - 1)}.exp_probs_b.bias`);
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
    rope_scaling: deepseekScaling(number),
  };
};

/** YaRN with DeepSeek's factor on the scores; its magnitude on the angles cancels in all published models. */
function deepseekScaling(number: ConfigFacts['number']): Json | null {
  const factor = number('rope.scaling.factor');
  if (factor === undefined) return null;
  // llama.cpp keeps a tenth of it, as f32.
  const magnitude = Number(((number('rope.scaling.yarn_log_multiplier') ?? 0.1) * 10).toPrecision(6));
  return {
    type: 'yarn',
    factor,
    beta_fast: number('rope.scaling.yarn_beta_fast') ?? 32,
    beta_slow: number('rope.scaling.yarn_beta_slow') ?? 1,
    mscale: magnitude,
    mscale_all_dim: magnitude,
    original_max_position_embeddings: number('rope.scaling.original_context_length') ?? 4096,
  };
}
