import { describe, expect, it } from 'vitest';
import { HookError } from '../../src/hooks/hook-error.ts';
import { matchHooks } from '../../src/hooks/match.ts';

const NAMES = [
  'hook_embed',
  ...[0, 1, 10].flatMap((layer) => ['hook_mid', 'attn.hook_q', 'attn.hook_z'].map((hook) => `blocks.${layer}.${hook}`)),
  'ln_final.hook_scale',
];

describe('a name or glob of hooks', () => {
  it.each<[asked: string, groups: Record<string, string[]>]>([
    ['hook_embed', { hook_embed: ['hook_embed'] }],
    ['hook_*', { hook_embed: ['hook_embed'] }],
    ['*.hook_scale', { 'ln_final.hook_scale': ['ln_final.hook_scale'] }],
    ['blocks.*.hook_mid', { 'blocks.*.hook_mid': ['blocks.0.hook_mid', 'blocks.1.hook_mid', 'blocks.10.hook_mid'] }],
    ['blocks.1*.hook_mid', { 'blocks.1*.hook_mid': ['blocks.1.hook_mid', 'blocks.10.hook_mid'] }],
    ['blocks.*.hook_m*', { 'blocks.*.hook_mid': ['blocks.0.hook_mid', 'blocks.1.hook_mid', 'blocks.10.hook_mid'] }],
    ['blocks.1*.hook_m*', { 'blocks.1*.hook_mid': ['blocks.1.hook_mid', 'blocks.10.hook_mid'] }],
    ['blocks.1.*', { 'blocks.1.hook_mid': ['blocks.1.hook_mid'] }],
    ['**', Object.fromEntries(NAMES.map((name) => [name, [name]]))],
    ['blocks.1.**', Object.fromEntries(NAMES.slice(4, 7).map((name) => [name, [name]]))],
    ['**.hook_q', Object.fromEntries([0, 1, 10].map((l) => [`blocks.${l}.attn.hook_q`, [`blocks.${l}.attn.hook_q`]]))],
    [
      'blocks.*.**',
      Object.fromEntries(
        ['hook_mid', 'attn.hook_q', 'attn.hook_z'].map((hook) => [
          `blocks.*.${hook}`,
          [0, 1, 10].map((layer) => `blocks.${layer}.${hook}`),
        ]),
      ),
    ],
    [
      'blocks.1.attn.*',
      { 'blocks.1.attn.hook_q': ['blocks.1.attn.hook_q'], 'blocks.1.attn.hook_z': ['blocks.1.attn.hook_z'] },
    ],
    [
      'blocks.*.attn.*',
      {
        'blocks.*.attn.hook_q': ['blocks.0.attn.hook_q', 'blocks.1.attn.hook_q', 'blocks.10.attn.hook_q'],
        'blocks.*.attn.hook_z': ['blocks.0.attn.hook_z', 'blocks.1.attn.hook_z', 'blocks.10.attn.hook_z'],
      },
    ],
  ])('%s gives one group for each hook, over the layers where the layer is a glob', (asked, groups) => {
    const found = matchHooks(asked, NAMES).map(({ key, names }) => [key, names]);
    expect(Object.fromEntries(found)).toEqual(groups);
  });

  it.each([
    'hook_em',
    'ook_embed',
    'blocks.*',
    'blocks_0.hook_mid',
    'blocks.0xhook_mid',
    '(',
    'blocks.[01].hook_mid',
    '',
  ])('%j matches nothing, and the nearest names are told', (asked) => {
    const attempt = () => matchHooks(asked, NAMES);
    expect(attempt).toThrow(HookError);
    expect(attempt).toThrow(/^This model has no hook ".*"\. Nearest: \w/);
  });

  it.each<[asked: string, reason: string]>([
    ['blocks.0.attn.hook_sink_prob', 'only layers with attention sinks have it (gpt_oss)'],
    ['blocks.*.attn.hook_sink_prob', 'only layers with attention sinks have it (gpt_oss)'],
    ['hook_pos_embed', 'only models with learned positions have it (gpt2)'],
    ['blocks.0.ln1.hook_scale', 'only blocks with a norm in front of each sub-layer have it (all but olmo2)'],
    ['blocks.0.hook_resid_mid', 'only blocks whose MLP reads what attention has added have it'],
    ['blocks.0.mlp.router.hook_logits', 'only layers with a mixture of experts have it, here layers 1 to 3'],
    ['blocks.4.mlp.experts.1.hook_out', 'only layers with a mixture of experts have it, here layers 1 to 3'],
    ['blocks.2.mlp.experts.4.hook_out', 'layer 2 has experts 0 to 1'],
    ['blocks.0.kv.hook_evict', 'only layers with a sliding window have it, here layers 1 and 3'],
    ['blocks.4.hook_resid_pre', 'it has layers 0 to 3'],
  ])('that this model lacks says why: %s', (asked, reason) => {
    const experts = [0, 1].map((expert) => `mlp.experts.${expert}.hook_out`);
    const mixture = (layer: number): string[] => (layer > 0 ? ['mlp.router.hook_logits', ...experts] : []);
    const window = (layer: number): string[] => (layer % 2 === 1 ? ['kv.hook_evict'] : []);
    const names = [0, 1, 2, 3].flatMap((layer) =>
      ['hook_resid_pre', ...window(layer), ...mixture(layer)].map((hook) => `blocks.${layer}.${hook}`),
    );
    expect(() => matchHooks(asked, names)).toThrow(`This model has no hook "${asked}": ${reason}. Nearest: blocks.`);
  });

  it('of the sampler says where there is one', () => {
    const names = [...NAMES, 'sampler.hook_probs'];
    expect(matchHooks('sampler.*', names)).toEqual([{ key: 'sampler.hook_probs', names: ['sampler.hook_probs'] }]);
    expect(() => matchHooks('sampler.hook_probs', NAMES)).toThrow(
      '"sampler.hook_probs" is a hook of `generate`: a single pass chooses no token.',
    );
    expect(() => matchHooks('sampler.hook_prob', names)).toThrow(
      /no hook "sampler\.hook_prob"\. Nearest: sampler\.hook_probs/,
    );
  });
});
