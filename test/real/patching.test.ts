import { beforeAll, describe, expect, it } from 'vitest';
import { load, logitDifference, type Model, patchingSweep, pathPatching } from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';
import { pair } from './interp-values.ts';

/** The largest difference of a grid from PyTorch's: float64 differs from that by 2e-5. */
const LOGIT_TOLERANCE = 2e-3;

function expectGrid(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  const worst = actual.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0);
  expect(worst).toBeLessThan(LOGIT_TOLERANCE);
}

describe('patching SmolLM2 on a pair of prompts', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(convertedModelFolder(), { backend: 'tensorflow' });
    return () => {
      model.dispose();
    };
  });
  const prompts = { clean: pair.clean, corrupt: pair.corrupt };
  const difference = () => logitDifference(model, pair.answer, pair.wrong);

  it.each([
    ['hook_resid_pre', 'patch_resid_pre'],
    ['hook_attn_out', 'patch_attn_out'],
    ['hook_mlp_out', 'patch_mlp_out'],
    ['attn.hook_z', 'patch_z'],
    ['attn.hook_q', 'patch_q'],
  ] as const)('gives the logit difference of PyTorch for each place where %s is replaced', async (hook, name) => {
    const grid = await patchingSweep(model, { ...prompts, hook, metric: difference() });
    expect(Math.abs(grid.clean - pair.cleanDifference)).toBeLessThan(LOGIT_TOLERANCE);
    expect(Math.abs(grid.corrupt - pair.corruptDifference)).toBeLessThan(LOGIT_TOLERANCE);
    expect(grid.shape).toEqual(grid.columns === 'head' ? [30, 9] : [30, 14]);
    expectGrid(grid.values, pair.floats(name));
  });

  it.each([
    ['mlps', 'path_through_mlps'],
    ['direct', 'path_direct'],
  ] as const)(
    'gives the logit difference of PyTorch for the paths of all senders to a receiver, %s',
    (through, name) => {
      const [layer, head] = pair.receiver;
      const senders = Array.from({ length: layer * 9 }, (_, i) => ({ layer: Math.floor(i / 9), head: i % 9 }));
      const values = pathPatching(model, {
        ...prompts,
        senders,
        receiver: { layer, head },
        through,
        metric: difference(),
      });
      expectGrid(values, pair.floats(name));
    },
  );
});
