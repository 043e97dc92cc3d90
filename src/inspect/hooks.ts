import type { DecoderConfig, Trait } from '../model/decoder-config.ts';

/**
 * A hook point: an activation that can be read and edited by name. Names and meanings are TransformerLens' where it has
 * them. Axes: p new positions, t key positions (absolute), d model, h query heads, g key/value heads, e head width,
 * f MLP width, V vocabulary, n any number.
 */
export interface HookPoint {
  readonly name: string;
  readonly axes: string;
  readonly meaning: string;
  /** Computed only for listeners: an edit changes nothing. */
  readonly derived?: boolean;
  /** Where a model lacks what it shows. */
  readonly exists?: (config: DecoderConfig, layer: number) => boolean;
}

const has =
  (trait: Trait): HookPoint['exists'] =>
  ({ traits }) =>
    traits.includes(trait);

export const GLOBAL_HOOKS: readonly HookPoint[] = [
  { name: 'hook_tokens', axes: 'p', meaning: 'token ids, i32' },
  { name: 'hook_embed', axes: 'p d', meaning: 'embeddings, scaled where the model scales them' },
  { name: 'hook_pos_embed', axes: 'p d', meaning: 'what is added for the position', exists: has('learned-positions') },
  { name: 'ln_final.hook_scale', axes: 'p 1', meaning: 'what the final norm divides by' },
  { name: 'ln_final.hook_normalized', axes: 'p d', meaning: 'final norm before its weight' },
  { name: 'ln_final.hook_out', axes: 'p d', meaning: 'what the head reads' },
  {
    name: 'unembed.hook_out',
    axes: 'p V',
    meaning: 'what the head gives; the last row only, unless all are asked for',
  },
  {
    name: 'hook_logits',
    axes: 'p V',
    meaning: 'what the sampler receives: scaled and bounded, where the model does so',
  },
];

/** Only while generating: `generate` taps them, a single `run` does not. */
export const SAMPLER_HOOKS: readonly HookPoint[] = [
  { name: 'sampler.hook_logits', axes: '1 V', meaning: 'logits after penalties and temperature' },
  { name: 'sampler.hook_probs', axes: '1 V', meaning: 'probabilities after truncation' },
  { name: 'sampler.hook_token', axes: '1', meaning: 'the chosen token, i32; an edit forces another' },
];

const windowed: HookPoint['exists'] = (config, layer) => config.windows[layer] < Infinity;
const rotated: HookPoint['exists'] = (config, layer) => config.ropes[layer] !== undefined;
const sequential: HookPoint['exists'] = ({ traits }) => !traits.includes('parallel');

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
  { name: 'attn.hook_q', axes: 'p h e', meaning: 'queries' },
  { name: 'attn.hook_k', axes: 'p g e', meaning: 'keys' },
  { name: 'attn.hook_v', axes: 'p g e', meaning: 'values' },
  { name: 'attn.hook_q_normed', axes: 'p h e', meaning: 'queries after their norm', exists: has('qk-norm') },
  { name: 'attn.hook_k_normed', axes: 'p g e', meaning: 'keys after their norm', exists: has('qk-norm') },
  { name: 'attn.hook_rot_q', axes: 'p h e', meaning: 'queries after rotation', exists: rotated },
  { name: 'attn.hook_rot_k', axes: 'p g e', meaning: 'keys after rotation', exists: rotated },
  { name: 'kv.hook_write_k', axes: 'p g e', meaning: 'keys about to be cached' },
  { name: 'kv.hook_write_v', axes: 'p g e', meaning: 'values about to be cached' },
  { name: 'kv.hook_k', axes: 't g e', meaning: 'all keys as attention reads them; an edit stays in the cache' },
  { name: 'kv.hook_v', axes: 't g e', meaning: 'all values as attention reads them; an edit stays in the cache' },
  {
    name: 'kv.hook_evict',
    axes: 'n',
    meaning: 'positions that leave the window, i32',
    derived: true,
    exists: windowed,
  },
  { name: 'attn.hook_attn_scores', axes: 'h p t', meaning: 'scaled scores, -Infinity where masked' },
  { name: 'attn.hook_pattern', axes: 'h p t', meaning: 'attention probabilities' },
  { name: 'attn.hook_sink_logit', axes: 'h', meaning: "each head's logit for nothing", exists: has('sinks') },
  {
    name: 'attn.hook_sink_prob',
    axes: 'h p',
    meaning: 'what the pattern lacks to 1',
    derived: true,
    exists: has('sinks'),
  },
  { name: 'attn.hook_entropy', axes: 'h p', meaning: 'entropy of each row of the pattern, nats', derived: true },
  { name: 'attn.hook_z', axes: 'p h e', meaning: 'mixed values, what W_O reads' },
  { name: 'attn.hook_result', axes: 'p h d', meaning: "each head's own part of the output", derived: true },
  { name: 'attn.hook_out', axes: 'p d', meaning: 'output of W_O' },
  { name: 'mlp.hook_pre', axes: 'p f', meaning: 'gate branch, or the only one, before its activation' },
  { name: 'mlp.hook_pre_linear', axes: 'p f', meaning: 'up branch', exists: has('gated-mlp') },
  { name: 'mlp.hook_post', axes: 'p f', meaning: 'what `down` reads' },
  { name: 'mlp.hook_out', axes: 'p d', meaning: 'output of `down`' },
];

/** The names of all hook points of a model, with those of the sampler if it is to generate. */
export function hookNames(config: DecoderConfig, { sampler = false } = {}): string[] {
  const inBlocks = config.windows.flatMap((_, layer) =>
    BLOCK_HOOKS.filter(({ exists }) => exists?.(config, layer) ?? true).map(({ name }) => `blocks.${layer}.${name}`),
  );
  const globals = [...GLOBAL_HOOKS, ...(sampler ? SAMPLER_HOOKS : [])].filter(
    ({ exists }) => exists?.(config, 0) ?? true,
  );
  return [...globals.map(({ name }) => name), ...inBlocks];
}
