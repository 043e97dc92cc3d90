import { beforeAll, describe, expect, it } from 'vitest';
import { activationStatistics, load, type Model, routerStatistics, topActivations } from '../../src/index.ts';
import { modelFolder, readExpected } from '../support/fixtures.ts';

let model: Model;
beforeAll(async () => {
  model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', weights: 'f32' });
  return () => {
    model.dispose();
  };
});

const POST = 'blocks.0.hook_resid_post';

describe('activationStatistics', () => {
  it("has the moments, norms and outliers that numpy computes of transformers' hidden states", async () => {
    const ids = [...(await readExpected('llama_gqa_tied'))('input_ids').data];
    const [first, last, ...others] = activationStatistics(model, ids, { outliers: 3 });
    expect([first.hook, last.hook, ...others]).toEqual([POST, 'blocks.1.hook_resid_post']);
    expect(first).toMatchObject({ layer: 0, shape: [24, 64], nan: 0, infinite: 0 });
    expect(first.mean).toBeCloseTo(0.0133246030745795, 5);
    expect(first.std).toBeCloseTo(1.200169068308888, 5);
    expect(first.min).toBeCloseTo(-4.6931891441345215, 5);
    expect(first.max).toBeCloseTo(5.590534210205078, 5);
    expect(first.kurtosis).toBeCloseTo(3.3440244919443995, 4);
    expect(first.norms).toHaveLength(24);
    [11.66772534, 10.64556683, 13.74456233].forEach((norm, i) => {
      expect(first.norms![i]).toBeCloseTo(norm, 4);
    });
    expect(first.outliers.map(({ index }) => index)).toEqual([
      [2, 43],
      [2, 28],
      [3, 57],
    ]);
    [5.59053421, -4.69318914, 4.12652969].forEach((value, i) => {
      expect(first.outliers[i].value).toBeCloseTo(value, 4);
      expect(first.outliers[i].deviations).toBeCloseTo((value - 0.0133246) / 1.2001691, 4);
    });
  });

  it('counts what is not finite and leaves it out of the moments', () => {
    const [scores] = activationStatistics(model, [5, 9, 200], { at: ['blocks.0.attn.hook_attn_scores'], outliers: 2 });
    // Of 3 x 3 scores of 4 heads, 3 of each are masked.
    expect(scores).toMatchObject({ shape: [4, 3, 3], infinite: 12, nan: 0 });
    using run = model.run([5, 9, 200], { capture: ['blocks.0.attn.hook_attn_scores'] });
    const values = run.acts['blocks.0.attn.hook_attn_scores'].data();
    const finite = values.filter(Number.isFinite);
    expect(scores.min).toBe(Math.min(...finite));
    expect(scores.mean).toBeCloseTo(finite.reduce((sum, x) => sum + x, 0) / 24, 6);
    // The norm of a position's row is over heads and keys.
    const second = [...values.keys()].filter((i) => Math.floor(i / 3) % 3 === 1 && Number.isFinite(values[i]));
    expect(scores.norms![1]).toBeCloseTo(Math.sqrt(second.reduce((sum, i) => sum + values[i] ** 2, 0)), 5);
    for (const { index, value } of scores.outliers) expect(values[index[0] * 9 + index[1] * 3 + index[2]]).toBe(value);
  });

  it('takes names and globs, in the order of the pass, and logits as rows too', () => {
    const at = ['hook_logits', 'blocks.*.mlp.hook_out', 'hook_embed'];
    const found = activationStatistics(model, [5, 9, 200], { at, outliers: 0 });
    expect(found.map(({ hook }) => hook)).toEqual([
      'hook_embed',
      'blocks.0.mlp.hook_out',
      'blocks.1.mlp.hook_out',
      'hook_logits',
    ]);
    expect(found.at(-1)).toMatchObject({ shape: [3, 512], outliers: [] });
    expect(found.at(-1)!.norms).toHaveLength(3);
    expect(() => activationStatistics(model, [5], { at: ['blocks.0.hook_post'] })).toThrow(
      'no hook "blocks.0.hook_post"',
    );
  });
});

describe('routerStatistics', () => {
  it.each(['mixtral', 'qwen3_moe', 'gpt_oss', 'deepseek_v2', 'deepseek_v3'])(
    '%s: loads are the counts of the experts that transformers chose, and agree with captured hooks',
    async (name) => {
      const expected = await readExpected(name);
      const [ids, chosen] = [expected('input_ids'), expected('router_topk_indices')];
      const tokens = [...ids.data];
      const mixture = await load(modelFolder(name), { backend: 'reference', weights: 'f32' });
      try {
        const layers = routerStatistics(mixture, [tokens, tokens.slice(0, 5)]);
        const [layer] = layers;
        const E = expected('router_logits').shape[1];
        const k = chosen.shape[1];
        const T = tokens.length;

        // Transformers' choices are those of one layer, the first mixture's.
        const alone = routerStatistics(mixture, [tokens])[0];
        const counts = new Int32Array(E);
        for (const expert of chosen.data) counts[expert]++;
        expect(alone.counts).toEqual(counts);
        expect(alone.load).toEqual(Float64Array.from(counts, (count) => count / (T * k)));
        const shares = [...counts].filter((count) => count > 0).map((count) => count / (T * k));
        const entropy = -shares.reduce((sum, share) => sum + share * Math.log(share), 0);
        expect(alone.entropy).toBeCloseTo(entropy, 10);
        expect(alone.balance).toBeCloseTo(entropy / Math.log(E), 10);
        expect(alone.unused).toEqual([...counts.keys()].filter((expert) => counts[expert] === 0));

        // By hand, from captured hooks.
        const at = (hook: string): string => `blocks.${layer.layer}.mlp.${hook}`;
        const margins: number[] = [];
        let place = 0;
        for (const [prompt, own] of [tokens, tokens.slice(0, 5)].entries()) {
          using run = mixture.run(own, {
            capture: ['hook_expert_indices', 'hook_topk_weights', 'router.hook_margin'].map(at),
          });
          const experts = run.acts[at('hook_expert_indices')].integers();
          const weights = run.acts[at('hook_topk_weights')].data();
          for (const [position, token] of own.entries()) {
            const routed = layer.tokens[place++];
            expect(routed).toMatchObject({ token, prompt, position });
            expect([...routed.experts]).toEqual([...experts.subarray(position * k, (position + 1) * k)]);
            expect(routed.weights).toEqual(weights.slice(position * k, (position + 1) * k));
          }
          margins.push(...run.acts[at('router.hook_margin')].data());
        }
        expect(layer.tokens).toHaveLength(T + 5);
        expect(layer.weight.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(
          layer.tokens.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0),
          5,
        );
        margins.sort((a, b) => a - b);
        expect(layer.margin.min).toBe(margins[0]);
        expect(layer.margin.median).toBe(margins[(T + 4) / 2]);
        expect(layer.margin.mean).toBeCloseTo(margins.reduce((sum, margin) => sum + margin, 0) / (T + 5), 6);
        expect(layer.margin.p10).toBeCloseTo(margins[2] * 0.2 + margins[3] * 0.8, 6);
        const mixtures = [...mixture.hookPoints.keys()].filter((hook) => hook.endsWith('router.hook_logits'));
        expect(layers.map(({ layer: index }) => `blocks.${index}.mlp.router.hook_logits`)).toEqual(mixtures);
      } finally {
        mixture.dispose();
      }
    },
  );

  it('a model without experts is refused', () => {
    expect(() => routerStatistics(model, [[5, 9]])).toThrow('expected a mixture of experts');
    expect(() => routerStatistics(model, [])).toThrow('routerStatistics: prompts must be a list of prompts');
  });
});

describe('topActivations', () => {
  const HOOK = 'blocks.1.mlp.hook_post';
  const texts = [[5, 9, 200, 17, 42], [300, 2, 2, 8], [11, 5, 9, 200], [77]];
  /** The numbers of a hook over all texts: `[text][position][neuron]`. */
  const all = (): Float32Array[] =>
    texts.map((tokens) => {
      using run = model.run(tokens, { capture: [HOOK] });
      return run.acts[HOOK].data();
    });

  it('finds the places that a sort of all activations finds, over all texts', async () => {
    const found = await topActivations(model, texts, { hook: HOOK, k: 4 });
    const { mlpDim: F } = model.config;
    expect(found.map(({ neuron }) => neuron)).toEqual(Array.from({ length: F }, (_, i) => i));
    const values = all();
    for (const { neuron, top } of found) {
      const places = values.flatMap((own, text) =>
        Array.from({ length: own.length / F }, (_, position) => ({
          activation: own[position * F + neuron],
          text,
          position,
        })),
      );
      places.sort((a, b) => b.activation - a.activation);
      expect(top.map(({ activation, text, position }) => ({ activation, text, position }))).toEqual(places.slice(0, 4));
    }
  });

  it('gives the token with its context, and takes texts as they come', async () => {
    async function* later() {
      for (const text of texts) {
        await Promise.resolve();
        yield text;
      }
    }
    const [{ neuron, top }, ...others] = await topActivations(model, later(), {
      hook: HOOK,
      neurons: [3],
      k: 1,
      context: 2,
    });
    expect([neuron, others.length, top.length]).toEqual([3, 0, 1]);
    const [{ text, position, token, before, after }] = top;
    const spell = (ids: number[]): string => model.tokenizer.decode(ids);
    expect(token).toBe(spell([texts[text][position]]));
    expect(before).toBe(spell(texts[text].slice(Math.max(0, position - 2), position)));
    expect(after).toBe(spell(texts[text].slice(position + 1, position + 3)));
  });

  it('shows ids in brackets for a model without a tokenizer', async () => {
    const bare = await load(modelFolder('qwen3'), { backend: 'reference', weights: 'f32' });
    try {
      const [{ top }] = await topActivations(bare, [[5, 9, 200]], { hook: HOOK, neurons: [0], k: 1, context: 1 });
      const { position, before, token } = top[0];
      const shown = ['', '[5]', '[9]', '[200]'];
      expect([before, token]).toEqual(shown.slice(position, position + 2));
    } finally {
      bare.dispose();
    }
  });

  it('looks at whatever `of` makes of the activation, such as features', async () => {
    const [{ top }] = await topActivations(model, texts, {
      hook: HOOK,
      neurons: [0],
      k: 2,
      of: (x) => x.sum(-1, { keepDim: true }),
    });
    const sums = all().flatMap((own) => {
      const F = model.config.mlpDim;
      return Array.from({ length: own.length / F }, (_, row) =>
        own.slice(row * F, (row + 1) * F).reduce((a, b) => a + b, 0),
      );
    });
    expect(top[0].activation).toBeCloseTo(Math.max(...sums), 4);
  });

  it('refuses neurons that are not there and hooks without a row for each position', async () => {
    await expect(topActivations(model, texts, { hook: HOOK, neurons: [4000] })).rejects.toThrow(
      'expected neurons from 0 to 127 of blocks.1.mlp.hook_post, got 4000',
    );
    await expect(topActivations(model, texts, { hook: 'blocks.1.attn.hook_pattern' })).rejects.toThrow(
      'expected a hook with a row for each of 5 positions, got blocks.1.attn.hook_pattern [4, 5, 5]',
    );
  });
});
