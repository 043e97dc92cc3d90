import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { firstDivergence, load, type Model, type Tensor } from '../../src/index.ts';
import { modelFolder, readExpected } from '../support/fixtures.ts';

const scratch = mkdtempSync(join(tmpdir(), 'vitrine-divergence-'));
afterAll(() => rmSync(scratch, { recursive: true }));

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
    reference = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', weights: 'f32' });
    prompt = await promptOf('llama_gqa_tied');
  });
  afterAll(() => {
    model.dispose();
    reference.dispose();
  });

  it('a head that is scaled by 1.01 is found, and its size and place are given', () => {
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
});
