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
    ['hook_*', { 'hook_*': ['hook_embed'] }],
    ['*.hook_scale', { '*.hook_scale': ['ln_final.hook_scale'] }],
    ['blocks.*.hook_mid', { 'blocks.*.hook_mid': ['blocks.0.hook_mid', 'blocks.1.hook_mid', 'blocks.10.hook_mid'] }],
    ['blocks.1*.hook_mid', { 'blocks.1*.hook_mid': ['blocks.1.hook_mid', 'blocks.10.hook_mid'] }],
    ['blocks.1.*', { 'blocks.1.*': ['blocks.1.hook_mid'] }],
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

  it('of the sampler says where there is one', () => {
    const names = [...NAMES, 'sampler.hook_probs'];
    expect(matchHooks('sampler.*', names)).toEqual([{ key: 'sampler.*', names: ['sampler.hook_probs'] }]);
    expect(() => matchHooks('sampler.hook_probs', NAMES)).toThrow(
      '"sampler.hook_probs" is a hook of `generate`: a single pass chooses no token.',
    );
    expect(() => matchHooks('sampler.hook_prob', names)).toThrow(
      /no hook "sampler\.hook_prob"\. Nearest: sampler\.hook_probs/,
    );
  });
});
