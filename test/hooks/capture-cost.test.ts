import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BudgetError, load, type Model, type Tensor } from '../../src/index.ts';
import { elements } from '../../src/tensor/dtype.ts';
import { modelFolder, randomTokens } from '../support/fixtures.ts';

const T = 9;

describe('the cost of captures', () => {
  it.each(['llama_gqa_tied', 'mistral_sliding', 'gpt2', 'gpt_oss', 'deepseek_v3', 'deepseek_v2_group'])(
    'of %s is what they take, to the byte where sizes are known',
    async (name) => {
      using model = await load(modelFolder(name), { backend: 'reference' });
      const tokens = randomTokens(T, model.config.vocabSize);
      const { bytes, byHook } = model.captureCost(['**'], { tokens: T });
      using run = model.run(tokens, { capture: ['**'] });
      let taken = 0;
      for (const [hook, tensor] of Object.entries<Tensor>(run.acts)) {
        const actual = 4 * elements(tensor.shape);
        taken += actual;
        const isRagged = model.hookPoints.get(hook)!.axes.includes('n');
        if (isRagged) expect(actual, hook).toBeLessThanOrEqual(byHook[hook]);
        else expect(actual, hook).toBe(byHook[hook]);
      }
      expect(taken).toBeLessThanOrEqual(bytes);
      expect(bytes).toBeLessThan(1.05 * taken);
    },
  );

  it('counts keys in the cache, rows of logits, and a hook that is asked for twice', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
    const cost = (names: string[], options: object = {}): number =>
      model.captureCost(names, { tokens: 5, ...options }).bytes;
    expect(cost(['blocks.0.attn.hook_pattern'])).toBe(4 * 4 * 5 * 5);
    expect(cost(['blocks.0.attn.hook_pattern'], { cached: 7 })).toBe(4 * 4 * 5 * 12);
    expect(cost(['hook_logits'], { logitRows: 1 })).toBe(4 * 512);
    expect(cost(['hook_embed', 'hook_embed'])).toBe(4 * 5 * 64);
    expect(cost(['blocks.*.hook_resid_post', 'blocks.0.hook_resid_post'])).toBe(3 * 4 * 5 * 64);
    expect(() => model.captureCost(['hook_x'], { tokens: 5 })).toThrow('no hook "hook_x"');
    expect(() => model.captureCost(['hook_embed'], {} as { tokens: number })).toThrow('tokens must be');
  });
});

describe('a budget', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
  });
  afterAll(() => {
    model.dispose();
  });
  const tokens = randomTokens(10, 512);
  const row = 4 * 64;

  it('lets a pass run whose captures fit, and refuses one before it runs, saying what fits', () => {
    const capture = ['hook_embed', 'blocks.0.hook_resid_post'];
    model.run(tokens, { capture, budget: 20 * row }).dispose();
    let hasRun = false;
    const edit = {
      hook_embed: () => {
        hasRun = true;
        return undefined;
      },
    };
    const refused = (): unknown => model.run(tokens, { capture, edit, budget: 20 * row - 1 });
    expect(refused).toThrow(BudgetError);
    expect(refused).toThrow(
      /^run: the captures would take 5 kB, and the budget is 5 kB\. .* 9 of the 10 tokens would fit\./,
    );
    expect(hasRun).toBe(false);
  });

  it('counts the sequences of a batch together', () => {
    const capture = ['hook_embed'];
    const runs = model.runBatch([tokens, tokens], { capture, budget: 20 * row });
    for (const run of runs) run.dispose();
    expect(() => model.runBatch([tokens, tokens], { capture, budget: 20 * row - 1 })).toThrow(BudgetError);
  });

  it('is kept while a text grows: generate ends before the pass that would exceed it', async () => {
    // [4 heads, 10, 10] of the prompt, then [4, 1, t]: 11, 12, 13 keys.
    const capture = ['blocks.0.attn.hook_pattern', 'blocks.0.kv.hook_k'] as const;
    const bytes = (positions: number, keys: number): number => 4 * (4 * positions * keys + keys * 32);
    const options = { capture, maxTokens: 10, ignoreEos: true };
    const steps: number[] = [];
    const generate = async (budget: number): Promise<void> => {
      steps.length = 0;
      for await (const { acts } of model.generate(tokens, { ...options, budget }))
        steps.push(acts['blocks.0.attn.hook_pattern'].shape[2]);
    };
    await expect(generate(bytes(10, 10) - 1)).rejects.toThrow(/^generate: .* 9 of the 10 tokens would fit/);
    expect(steps).toEqual([]);
    await generate(bytes(10, 10));
    expect(steps).toHaveLength(10);
    await expect(
      (async () => {
        for await (const { acts } of model.generate(tokens.slice(0, 1), { ...options, budget: bytes(1, 4) }))
          steps.push(acts['blocks.0.kv.hook_k'].shape[0]);
      })(),
    ).rejects.toThrow(BudgetError);
    expect(steps.slice(10)).toEqual([1, 2, 3, 4]);
  });
});
