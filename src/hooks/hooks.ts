import type { Trait } from '../model/config/decoder-config.ts';
import type { HookPoint } from './hook-point.ts';

type Exists = NonNullable<HookPoint['exists']>;

const has =
  (trait: Trait): Exists =>
  ({ traits }) =>
    traits.includes(trait);

const isMixture: Exists = ({ experts }, layer) => experts?.layers[layer] ?? false;
const isDense: Exists = (config, layer) => !isMixture(config, layer);
const inMixture =
  (trait: Trait): Exists =>
  (config, layer) =>
    isMixture(config, layer) && config.traits.includes(trait);
const hasShared: Exists = (config, layer) => isMixture(config, layer) && config.experts!.sharedDim > 0;
const isLatent: Exists = ({ latent }) => latent !== undefined;
const isAbsorbed: Exists = ({ latent }) => latent?.absorbed ?? false;
const NAIVE = "load the model with mla: 'naive'";
const isExpanded: Exists = ({ latent }) => !(latent?.absorbed ?? false);

/** Outside of blocks. */
export const GLOBAL_HOOKS: readonly HookPoint[] = [
  { name: 'hook_tokens', axes: 'p', meaning: 'token ids, i32', idsBelow: ({ vocabSize }) => vocabSize },
  { name: 'hook_embed', axes: 'p d', meaning: 'embeddings, scaled where the model scales them' },
  { name: 'hook_pos_embed', axes: 'p d', meaning: 'what is added for the position', exists: has('learned-positions') },
  { name: 'ln_final.hook_scale', axes: 'p 1', meaning: 'what the final norm divides by' },
  { name: 'ln_final.hook_normalized', axes: 'p d', meaning: 'final norm before its weight' },
  { name: 'ln_final.hook_out', axes: 'p d', meaning: 'what the head reads' },
  {
    name: 'unembed.hook_out',
    axes: 'l V',
    meaning: 'what the head gives; the last row only, unless all are asked for',
  },
  {
    name: 'hook_logits',
    axes: 'l V',
    meaning: 'what the sampler receives: scaled and bounded, where the model does so',
  },
];

/** Only while generating: `generate` taps them, a single `run` does not. */
export const SAMPLER_HOOKS: readonly HookPoint[] = [
  { name: 'sampler.hook_logits', axes: '1 V', meaning: 'logits after penalties and temperature' },
  { name: 'sampler.hook_probs', axes: '1 V', meaning: 'probabilities after truncation' },
  {
    name: 'sampler.hook_token',
    axes: '1',
    meaning: 'the chosen token, i32; an edit forces another',
    idsBelow: ({ vocabSize }) => vocabSize,
  },
];

const windowed: Exists = (config, layer) => config.windows[layer] < Infinity;
const rotated: Exists = ({ ropes, latent }, layer) => ropes[layer] !== undefined && latent === undefined;
const sequential: Exists = ({ traits }) => !traits.includes('parallel');

/** In every block, under `blocks.N.` */
export const BLOCK_HOOKS: readonly HookPoint[] = [
  { name: 'hook_resid_pre', axes: 'p d', meaning: 'residual stream before the block' },
  { name: 'hook_resid_mid', axes: 'p d', meaning: 'residual stream between attention and MLP', exists: sequential },
  { name: 'hook_resid_post', axes: 'p d', meaning: 'residual stream after the block' },
  { name: 'hook_attn_in', axes: 'p d', meaning: 'what attention reads, after its norm' },
  { name: 'hook_mlp_in', axes: 'p d', meaning: 'what the MLP reads, after its norm' },
  { name: 'hook_attn_out', axes: 'p d', meaning: 'what attention adds to the residual stream' },
  { name: 'hook_mlp_out', axes: 'p d', meaning: 'what the MLP adds to the residual stream' },
  {
    name: 'ln1.hook_scale',
    axes: 'p 1',
    meaning: 'what the norm before attention divides by',
    exists: has('pre-norm'),
  },
  { name: 'ln1.hook_normalized', axes: 'p d', meaning: 'that norm before its weight', exists: has('pre-norm') },
  { name: 'ln2.hook_scale', axes: 'p 1', meaning: 'what the norm before the MLP divides by', exists: has('pre-norm') },
  { name: 'ln2.hook_normalized', axes: 'p d', meaning: 'that norm before its weight', exists: has('pre-norm') },
  {
    name: 'ln1_post.hook_scale',
    axes: 'p 1',
    meaning: 'what the norm after attention divides by',
    exists: has('post-norm'),
  },
  { name: 'ln1_post.hook_normalized', axes: 'p d', meaning: 'that norm before its weight', exists: has('post-norm') },
  {
    name: 'ln2_post.hook_scale',
    axes: 'p 1',
    meaning: 'what the norm after the MLP divides by',
    exists: has('post-norm'),
  },
  { name: 'ln2_post.hook_normalized', axes: 'p d', meaning: 'that norm before its weight', exists: has('post-norm') },
  { name: 'attn.hook_q', axes: 'p h e', meaning: 'queries', exists: isExpanded },
  { name: 'attn.hook_k', axes: 'p g e', meaning: 'keys', exists: isExpanded },
  { name: 'attn.hook_v', axes: 'p g e_v', meaning: 'values', exists: isExpanded },
  { name: 'attn.hook_q_normed', axes: 'p h e', meaning: 'queries after their norm', exists: has('qk-norm') },
  { name: 'attn.hook_k_normed', axes: 'p g e', meaning: 'keys after their norm', exists: has('qk-norm') },
  { name: 'attn.hook_rot_q', axes: 'p h e', meaning: 'queries after rotation', exists: rotated },
  { name: 'attn.hook_rot_k', axes: 'p g e', meaning: 'keys after rotation', exists: rotated },
  {
    name: 'attn.hook_q_latent',
    axes: 'p r_q',
    meaning: 'latent of the queries, after its norm',
    exists: ({ latent }) => latent?.queryRank !== undefined,
  },
  { name: 'attn.hook_q_nope', axes: 'p h e_n', meaning: 'part of the queries that is not rotated', exists: isLatent },
  { name: 'attn.hook_q_rope', axes: 'p h e_r', meaning: 'rotary part of the queries, rotated', exists: isLatent },
  {
    name: 'attn.hook_kv_latent',
    axes: 'p r_kv',
    meaning: 'latent of keys and values, after its norm',
    exists: isLatent,
  },
  {
    name: 'attn.hook_k_rope',
    axes: 'p 1 e_r',
    meaning: 'rotary part of the key that all heads share',
    exists: isLatent,
  },
  { name: 'attn.hook_q', axes: 'p h e', meaning: 'queries, rotary part last', derived: true, exists: isAbsorbed },
  {
    name: 'attn.hook_k',
    axes: 'p h e',
    meaning: 'keys made of the latent',
    derived: true,
    readOnly: { instead: ['attn.hook_kv_latent', 'attn.hook_k_rope'], or: NAIVE },
    exists: isAbsorbed,
  },
  {
    name: 'attn.hook_v',
    axes: 'p h e_v',
    meaning: 'values made of the latent',
    derived: true,
    readOnly: { instead: ['attn.hook_kv_latent'], or: NAIVE },
    exists: isAbsorbed,
  },
  { name: 'attn.hook_q_absorbed', axes: 'p h r_kv', meaning: 'what is compared with latents', exists: isAbsorbed },
  { name: 'kv.hook_write_k', axes: 'p g e', meaning: 'keys about to be cached', exists: isExpanded },
  { name: 'kv.hook_write_v', axes: 'p g e_v', meaning: 'values about to be cached', exists: isExpanded },
  {
    name: 'kv.hook_k',
    axes: 't g e',
    meaning: 'all keys as attention reads them; an edit stays in the cache',
    exists: isExpanded,
  },
  {
    name: 'kv.hook_v',
    axes: 't g e_v',
    meaning: 'all values as attention reads them; an edit stays in the cache',
    exists: isExpanded,
  },
  {
    name: 'kv.hook_latent',
    axes: 't r_kv',
    meaning: 'all latents as attention reads them; an edit stays in the cache',
    exists: isAbsorbed,
  },
  {
    name: 'kv.hook_rope',
    axes: 't e_r',
    meaning: 'the rotary part of all keys; an edit stays in the cache',
    exists: isAbsorbed,
  },
  {
    name: 'kv.hook_evict',
    axes: 'n',
    meaning: 'positions that leave the window, i32',
    derived: true,
    readOnly: { instead: ['attn.hook_attn_scores', 'attn.hook_pattern'] },
    exists: windowed,
  },
  { name: 'attn.hook_attn_scores', axes: 'h p t', meaning: 'scaled scores, -Infinity where masked', hidden: -Infinity },
  { name: 'attn.hook_pattern', axes: 'h p t', meaning: 'attention probabilities' },
  { name: 'attn.hook_sink_logit', axes: 'h', meaning: "each head's logit for nothing", exists: has('sinks') },
  {
    name: 'attn.hook_sink_prob',
    axes: 'h p',
    meaning: 'what the pattern lacks to 1',
    derived: true,
    readOnly: { instead: ['attn.hook_sink_logit', 'attn.hook_pattern'] },
    exists: has('sinks'),
  },
  {
    name: 'attn.hook_entropy',
    axes: 'h p',
    meaning: 'entropy of each row of the pattern, nats',
    derived: true,
    readOnly: { instead: ['attn.hook_pattern'] },
  },
  { name: 'attn.hook_ctx_latent', axes: 'p h r_kv', meaning: 'mixed latents, before W_UV', exists: isAbsorbed },
  { name: 'attn.hook_z', axes: 'p h e_v', meaning: 'mixed values, what W_O reads' },
  {
    name: 'attn.hook_result',
    axes: 'p h d',
    meaning: "each head's own part of the output, without the bias; of an edit, the sum is taken",
    derived: true,
  },
  { name: 'attn.hook_out', axes: 'p d', meaning: 'output of W_O' },
  { name: 'mlp.router.hook_in', axes: 'p d', meaning: 'what the router reads', exists: isMixture },
  { name: 'mlp.router.hook_logits', axes: 'p E', meaning: "the router's logits", exists: isMixture },
  {
    name: 'mlp.router.hook_scores',
    axes: 'p E',
    meaning: 'their softmax or sigmoid over all experts',
    exists: inMixture('router-scores'),
  },
  {
    name: 'mlp.router.hook_biased_scores',
    axes: 'p E',
    meaning: 'scores with the bias for the choice',
    exists: inMixture('router-bias'),
  },
  {
    name: 'mlp.router.hook_group_indices',
    axes: 'p n',
    meaning: 'the groups that can be chosen from, i32; an edit forces them',
    exists: inMixture('router-groups'),
  },
  {
    name: 'mlp.router.hook_margin',
    axes: 'p',
    meaning: 'the last chosen score less the first one that was not',
    derived: true,
    readOnly: { instead: ['mlp.router.hook_logits', 'mlp.hook_expert_indices'] },
    exists: isMixture,
  },
  {
    name: 'mlp.hook_expert_indices',
    axes: 'p k',
    meaning: 'the chosen experts, best first, i32; an edit forces the choice',
    idsBelow: ({ experts }) => experts!.count,
    exists: isMixture,
  },
  { name: 'mlp.hook_topk_weights', axes: 'p k', meaning: 'their weights, as used', exists: isMixture },
  {
    name: 'mlp.hook_expert_weights',
    axes: 'p E',
    meaning: 'these weights, 0 for experts that were not chosen; an edit sets those of the chosen ones',
    derived: true,
    zerosBy: ['mlp.hook_expert_indices'],
    exists: isMixture,
  },
  { name: 'mlp.hook_expert_out', axes: 'p k d', meaning: 'output of each chosen expert', exists: isMixture },
  { name: 'mlp.shared.hook_pre', axes: 'p n', meaning: "the shared expert's gate branch", exists: hasShared },
  { name: 'mlp.shared.hook_pre_linear', axes: 'p n', meaning: 'its up branch', exists: hasShared },
  { name: 'mlp.shared.hook_post', axes: 'p n', meaning: 'what its `down` reads', exists: hasShared },
  { name: 'mlp.shared.hook_out', axes: 'p d', meaning: 'its output', exists: hasShared },
  {
    name: 'mlp.hook_pre',
    axes: 'p f',
    meaning: 'gate branch, or the only one, before its activation',
    exists: isDense,
  },
  {
    name: 'mlp.hook_pre_linear',
    axes: 'p f',
    meaning: 'up branch',
    exists: (config, layer) => isDense(config, layer) && config.traits.includes('gated-mlp'),
  },
  { name: 'mlp.hook_post', axes: 'p f', meaning: 'what `down` reads', exists: isDense },
  { name: 'mlp.hook_out', axes: 'p d', meaning: 'output of `down`, or of the mixture' },
];

/** In every expert of a mixture, under `blocks.N.mlp.experts.J.`; n rows chose it, perhaps none. */
export const EXPERT_HOOKS: readonly HookPoint[] = [
  {
    name: 'hook_token_index',
    axes: 'n',
    meaning: 'the rows that chose it, i32',
    derived: true,
    readOnly: { instead: ['mlp.hook_expert_indices'] },
    holdsRows: true,
  },
  { name: 'hook_pre', axes: 'n f', meaning: 'gate branch' },
  { name: 'hook_pre_linear', axes: 'n f', meaning: 'up branch' },
  { name: 'hook_post', axes: 'n f', meaning: 'what `down` reads' },
  { name: 'hook_out', axes: 'n d', meaning: 'its output, before its weight' },
];
