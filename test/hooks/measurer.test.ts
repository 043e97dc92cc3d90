import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { liveTensors, load, type Model, type Tensor } from '../../src/index.ts';
import { modelFolder, randomTokens } from '../support/fixtures.ts';

/** From the definitions, over the finite numbers. */
function measured(values: Float32Array) {
  const finite = [...values].filter(Number.isFinite);
  const mean = finite.reduce((sum, x) => sum + x, 0) / finite.length;
  return {
    min: Math.min(...finite),
    max: Math.max(...finite),
    mean,
    std: Math.sqrt(finite.reduce((sum, x) => sum + (x - mean) ** 2, 0) / finite.length),
    norm: Math.hypot(...finite),
    largest: Math.max(...finite.map(Math.abs)),
  };
}

describe('statistics of activations', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'));
  });
  afterAll(() => {
    model.dispose();
  });
  const tokens = randomTokens(12, 512);

  it('are those of each activation, which is not kept', () => {
    const hook = 'blocks.1.mlp.hook_post';
    using full = model.run(tokens, { capture: [hook] });
    const before = liveTensors();
    using run = model.run(tokens, { statistics: ['blocks.*.mlp.hook_post'], health: ['**'] });
    expect(liveTensors()).toBe(before + 1); // The logits.
    expect(Object.keys(run.statistics)).toEqual(['blocks.0.mlp.hook_post', hook]);
    expect(Object.keys(run.health)).toEqual(model.hooks);
    const { count, nan, infinite, isFinite, ...rest } = run.statistics[hook];
    expect({ count, nan, infinite, isFinite }).toEqual({ count: 12 * 128, nan: 0, infinite: 0, isFinite: true });
    for (const [name, value] of Object.entries(measured(full.acts[hook].data())))
      expect(rest[name as keyof typeof rest], name).toBeCloseTo(value, 6);
    expect(run.health[hook]).toEqual({ isFinite: true, largest: rest.largest });
    expect(run.logits.data()).toEqual(full.logits.data());
  });

  it('leave out what is masked, and count what is not finite', () => {
    const scores = 'blocks.0.attn.hook_attn_scores';
    const broken = (value: Tensor): Float32Array => {
      const values = value.data();
      values.set([NaN, Infinity, -Infinity, -1000], 5);
      return values;
    };
    using run = model.run(tokens, {
      statistics: [scores, 'blocks.0.mlp.hook_out'],
      health: ['blocks.0.mlp.hook_out', scores],
      edit: { 'blocks.0.mlp.hook_out': broken },
    });
    expect(run.statistics[scores]).toMatchObject({ count: (4 * 12 * 13) / 2, infinite: 0, isFinite: true });
    expect(run.health[scores].isFinite).toBe(true);
    expect(run.statistics['blocks.0.mlp.hook_out']).toMatchObject({
      count: 12 * 64,
      nan: 1,
      infinite: 2,
      isFinite: false,
      min: -1000,
      largest: 1000,
    });
    expect(run.health['blocks.0.mlp.hook_out']).toEqual({ isFinite: false, largest: 1000 });
  });

  it('of a prompt that is computed in chunks are those of the whole', async () => {
    const long = randomTokens(700, 512);
    const asked = ['blocks.1.hook_resid_post', 'blocks.1.kv.hook_k', 'blocks.0.attn.hook_attn_scores', 'hook_logits'];
    using run = model.run(long, { statistics: asked, rows: 'last' });
    let seen = 0;
    for await (const { statistics } of model.generate(long, {
      statistics: asked,
      maxTokens: 2,
      compute: 'f32',
      ignoreEos: true,
    })) {
      if (seen++ > 0) {
        expect(statistics!['blocks.1.hook_resid_post'].count).toBe(64);
        continue;
      }
      for (const name of asked) {
        expect(statistics![name].count, name).toBe(run.statistics[name].count);
        expect(statistics![name].norm / run.statistics[name].norm, name).toBeCloseTo(1, 4);
        expect(statistics![name].max, name).toBeCloseTo(run.statistics[name].max, 3);
      }
    }
    expect(seen).toBe(2);
  });

  it('are apart for the sequences of a batch', () => {
    const runs = model.runBatch([tokens, tokens.slice(0, 4)], { statistics: ['hook_embed'] });
    expect(runs.map(({ statistics }) => statistics.hook_embed.count)).toEqual([12 * 64, 4 * 64]);
    for (const run of runs) run.dispose();
  });

  it('of hooks that the model lacks, or a partial pass does not reach, are refused', () => {
    expect(() => model.run(tokens, { statistics: ['hook_x'] })).toThrow('no hook "hook_x"');
    expect(() => model.run(tokens, { health: ['hook_logits'], until: 'hook_embed' })).toThrow('does not reach');
  });
});
