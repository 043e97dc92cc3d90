import type { Json } from '../../json.ts';
import type { ConfigFacts } from './architectures.ts';

/** `expert_gating_func`: how the router's scores become weights. 0 is what the architecture has. */
const GATING = { softmax: 1, sigmoid: 2, softmaxOfChosen: 3 } as const;

/** Refuses what the published architecture does not do with the weights of experts. */
function expectRouting({ number, fail }: ConfigFacts, gating: number): void {
  const stored = number('expert_gating_func') ?? 0;
  if (stored !== 0 && stored !== gating) fail('expert_gating_func', `expected ${gating} or none, got ${stored}`);
  const scale = number('expert_weights_scale') ?? 0;
  if (scale !== 0 && scale !== 1) fail('expert_weights_scale', `expected 1 or none, got ${scale}`);
}

/** What config.json says of the experts of Mixtral. */
export function mixtralConfig(facts: ConfigFacts): Json {
  const { number } = facts;
  expectRouting(facts, GATING.softmax);
  return {
    num_local_experts: number('expert_count'),
    num_experts_per_tok: number('expert_used_count'),
    sliding_window: number('attention.sliding_window') ?? null,
  };
}

/** Qwen3 MoE. llama.cpp always divides the weights of the chosen experts by their sum. */
export function qwen3MoeConfig(facts: ConfigFacts): Json {
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

/** gpt-oss. What all published models have in common is not in the file. */
export function gptOssConfig(facts: ConfigFacts): Json {
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

/** Groups of experts of the published models, which older conversions do not write, by the number of experts. */
const GROUPS = new Map([
  [160, { count: 8, kept: 3 }],
  [256, { count: 8, kept: 4 }],
]);

/** DeepSeek-V2 and V3, which llama.cpp calls alike. */
export function deepseekConfig({ number, flag, has, fail, sizes, ropeScaling }: ConfigFacts): Json {
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

/** YaRN with DeepSeek's factor on the scores; its magnitude on the angles cancels in all published models. */
function deepseekScaling(number: ConfigFacts['number'], fail: ConfigFacts['fail'], scaling: Json | null): Json | null {
  if (scaling?.rope_type !== 'yarn') return scaling;
  if (scaling.attention_factor !== undefined) fail('rope.scaling.attn_factor', 'expected 1 or none');
  // llama.cpp keeps a tenth of it, as f32.
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
