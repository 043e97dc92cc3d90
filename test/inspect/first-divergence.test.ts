import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { firstDivergence, load, type Model, record, type Tensor } from '../../src/index.ts';
import { modelFolder, readExpected } from '../support/fixtures.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');
const scratch = mkdtempSync(join(tmpdir(), 'vitrine-divergence-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const promptOf = async (name: string): Promise<number[]> => Array.from((await readExpected(name))('input_ids').data);

/** A copy of a fixture with other settings. */
function changed(name: string, settings: Record<string, unknown>): string {
  const folder = mkdtempSync(join(scratch, `${name}-`));
  cpSync(modelFolder(name), folder, { recursive: true });
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...settings }));
  return folder;
}

const scaledHead = (head: number, factor: number) => (z: Tensor) => {
  const values = z.data();
  const [T, H, d] = z.shape;
  for (let t = 0; t < T; t++) for (let i = 0; i < d; i++) values[(t * H + head) * d + i] *= factor;
  return values;
};

describe('two backends', () => {
  it.each(['llama_gqa_tied', 'gpt_oss', 'deepseek_v3', 'gemma2', 'gpt2'])('of %s differ by rounding', async (name) => {
    using a = await load(modelFolder(name), { backend: 'tensorflow' });
    using b = await load(modelFolder(name), { backend: 'reference' });
    const found = firstDivergence(a, b, { prompt: await promptOf(name) });
    expect(found).toMatchObject({ verdict: 'rounding', first: undefined, onlyIn: { a: [], b: [] } });
    expect(found.hooks.at(-1)).toMatchObject({ hook: 'hook_logits', isBeyond: false });
    expect(found.hooks.at(-1)!.relative).toBeGreaterThan(0);
  });
});

describe('a bug', () => {
  let model: Model;
  let reference: Model;
  let prompt: number[];
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'));
    reference = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
    prompt = await promptOf('llama_gqa_tied');
  });
  afterAll(() => {
    model.dispose();
    reference.dispose();
  });

  it('that scales a head by 1.01 is found, with its size and place', () => {
    const b = { model, edit: { 'blocks.1.attn.hook_z': scaledHead(2, 1.01) } };
    const { verdict, first, hooks } = firstDivergence(model, b, { prompt });
    expect({ verdict, hook: first?.hook, axes: first?.axes }).toEqual({
      verdict: 'bug',
      hook: 'blocks.1.attn.hook_z',
      axes: 'p h e_v',
    });
    expect(first!.relative).toBeGreaterThan(0.005);
    expect(first!.relative).toBeLessThan(0.0101);
    expect(first!.at[1]).toBe(2);
    expect(first!.values[1] / first!.values[0]).toBeCloseTo(1.01, 5);
    expect(first!.position).toBe(first!.at[0]);
    expect(first!.token).toBe(prompt[first!.at[0]]);
    // What follows has the error of its inputs, and none of its own.
    expect(hooks.filter(({ isBeyond }) => isBeyond).map(({ hook }) => hook)).toEqual(['blocks.1.attn.hook_z']);
  });

  it('in one of two backends is found among their roundings, and an oracle says which is wrong', async () => {
    using oracle = await load(modelFolder('llama_gqa_tied'), { backend: 'reference-f64', weights: 'f32' });
    const wrong = { model: reference, edit: { 'blocks.1.attn.hook_z': scaledHead(1, 1.001) } };
    expect(firstDivergence(model, wrong, { prompt })).toMatchObject({
      verdict: 'bug',
      first: { hook: 'blocks.1.attn.hook_z' },
      wrong: undefined,
    });
    const found = firstDivergence(model, wrong, { prompt, oracle });
    expect(found).toMatchObject({ verdict: 'bug', first: { hook: 'blocks.1.attn.hook_z' }, wrong: ['b'] });
    expect(found.reason).toMatch(/b is wrong: a is [0-9.]+e-[67] from the oracle, b 0\.001\./);
    expect(firstDivergence(wrong, model, { prompt, oracle }).wrong).toEqual(['a']);
  });

  it('in the epsilon of the norms is found at the first norm', async () => {
    using other = await load(changed('llama_gqa_tied', { rms_norm_eps: 1e-6 }));
    expect(firstDivergence(model, other, { prompt })).toMatchObject({
      verdict: 'bug',
      first: { hook: 'blocks.0.ln1.hook_scale' },
    });
  });

  it('in the rotary base is found at the rotated queries of layer 0', async () => {
    using other = await load(changed('llama_gqa_tied', { rope_theta: 10100 }));
    expect(firstDivergence(model, other, { prompt })).toMatchObject({
      verdict: 'bug',
      first: { hook: 'blocks.0.attn.hook_rot_q' },
    });
  });

  it('that makes NaN, or another embedding, is a bug', () => {
    const at = (name: string, change: (values: Float32Array) => void) => ({
      model,
      edit: {
        [name]: (value: Tensor) => {
          const values = value.data();
          change(values);
          return values;
        },
      },
    });
    const nan = at('blocks.0.mlp.hook_out', (values) => (values[70] = NaN));
    expect(firstDivergence(model, nan, { prompt })).toMatchObject({
      verdict: 'bug',
      first: { hook: 'blocks.0.mlp.hook_out', relative: Infinity, at: [1, 6], position: 1 },
    });
    const row = at('hook_embed', (values) => void values.copyWithin(0, 64, 128));
    expect(firstDivergence(model, row, { prompt })).toMatchObject({ verdict: 'bug', first: { hook: 'hook_embed' } });
    const scaled = at('hook_embed', (values) => {
      values.forEach((x, i) => (values[i] = x * 1.01));
    });
    expect(firstDivergence(model, scaled, { prompt })).toMatchObject({ verdict: 'bug', first: { hook: 'hook_embed' } });
  });

  it('the same pass twice is the same bit for bit', () => {
    expect(firstDivergence(model, model, { prompt })).toMatchObject({ verdict: 'same', first: undefined });
  });

  it('models without a prompt, and other tokens than were recorded, are refused', () => {
    expect(() => firstDivergence(model, reference)).toThrow('expected a prompt');
    using recording = record(model, prompt);
    expect(() => firstDivergence(recording, model, { prompt: [1, 2] })).toThrow('expected passes over the same tokens');
    expect(() => firstDivergence(model, 'x' as unknown as Model, { prompt })).toThrow('b must be a model');
  });
});

describe('weights', () => {
  it('in bf16 and in f32 differ at the embedding, and are called that', async () => {
    using f32 = await load(modelFolder('llama_untied'));
    using bf16 = await load(modelFolder('llama_untied'), { weights: 'bf16' });
    const prompt = await promptOf('llama_untied');
    const found = firstDivergence(f32, bf16, { prompt });
    expect(found).toMatchObject({ verdict: 'weights', first: { hook: 'hook_embed' } });
    expect(found.reason).toContain('Those of b are those of a, rounded to bf16.');
    expect(firstDivergence(bf16, f32, { prompt }).reason).toContain('Those of a are those of b, rounded to bf16.');
  });

  it('of a quantised file differ at the embedding, and are called that', async () => {
    using published = await load(modelFolder('qwen2'));
    using quantised = await load(join(FIXTURES, 'gguf/qwen2-q8_0.gguf'));
    expect(firstDivergence(published, quantised, { prompt: await promptOf('qwen2') })).toMatchObject({
      verdict: 'weights',
      first: { hook: 'hook_embed' },
    });
  });
});

describe('latent attention', () => {
  it.each(['deepseek_v2', 'deepseek_v3'])('of %s in its two forms differs by rounding', async (name) => {
    using absorbed = await load(modelFolder(name));
    using naive = await load(modelFolder(name), { mla: 'naive' });
    const found = firstDivergence(absorbed, naive, { prompt: await promptOf(name) });
    expect(found.verdict).toBe('rounding');
    expect(found.onlyIn.a).toContain('blocks.0.attn.hook_q_absorbed');
    expect(found.onlyIn.b).toContain('blocks.0.kv.hook_k');
  });
});

describe('products in bf16', () => {
  it.each(['llama_gqa_tied', 'deepseek_v2'])('differ from those in f32 by rounding, in %s', async (name) => {
    using model = await load(modelFolder(name), { backend: 'reference' });
    const prompt = await promptOf(name);
    const bf16 = { model, compute: 'bf16' as const };
    const found = firstDivergence(model, bf16, { prompt });
    expect(found.verdict).toBe('rounding');
    expect(found.hooks.at(-1)!.relative).toBeGreaterThan(1e-4);
    const b = { ...bf16, edit: { 'blocks.1.attn.hook_z': scaledHead(2, 1.1) } };
    expect(firstDivergence(bf16, b, { prompt })).toMatchObject({ first: { hook: 'blocks.1.attn.hook_z' } });
  });
});

describe('mixtures of experts', () => {
  const name = 'qwen3_moe';
  const indices = 'blocks.2.mlp.hook_expert_indices';
  const logits = 'blocks.2.mlp.router.hook_logits';

  it('that choose between equal scores in two ways differ by rounding, and what follows is not compared', async () => {
    using model = await load(modelFolder(name));
    const prompt = await promptOf(name);
    const tied = (first: number, second: number) => ({
      model,
      edit: {
        // The best two of token 3 are equal but for a last place.
        [logits]: (value: Tensor) => {
          const values = value.data();
          const row = values.subarray(3 * value.shape[1], 4 * value.shape[1]);
          const most = Math.max(...row);
          row[first] = most + 1;
          row[second] = Math.fround((most + 1) * (1 - 2 ** -23));
          return values;
        },
      },
    });
    const found = firstDivergence(tied(0, 1), tied(1, 0), { prompt });
    expect(found).toMatchObject({
      verdict: 'rounding',
      first: { hook: indices, choice: { experts: [0, 1], isTie: true } },
    });
    expect(found.hooks.at(-1)!.hook).toBe(indices);
  });

  it('that choose wrongly have a bug', async () => {
    using model = await load(modelFolder(name));
    const last = (value: Tensor): Int32Array => {
      const ids = value.integers() as Int32Array;
      const used = new Set(ids.subarray(0, value.shape[1]));
      ids[0] = [0, 1, 2, 3, 4, 5, 6, 7].findLast((id) => !used.has(id) && id < model.config.experts!.count)!;
      return ids;
    };
    const found = firstDivergence(model, { model, edit: { [indices]: last } }, { prompt: await promptOf(name) });
    expect(found).toMatchObject({ verdict: 'bug', first: { hook: indices, at: [0, 0], choice: { isTie: false } } });
  });
});
