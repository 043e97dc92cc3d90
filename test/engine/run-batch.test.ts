import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model, type Tensor } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';

const tokens = (length: number, step: number): number[] => Array.from({ length }, (_, i) => (i * step + 5) % 500);
const PROMPTS = [tokens(12, 37), tokens(1, 3), tokens(7, 91)];

function expectClose(actual: Float32Array, expected: Float32Array, what: string): void {
  expect(actual.length, what).toBe(expected.length);
  const far = actual.findIndex((x, i) => !(x === expected[i] || Math.abs(x - expected[i]) <= 1e-4));
  expect(far, `${what}: number ${far} is ${actual[far]}, expected ${expected[far]}`).toBe(-1);
}

describe.each(TESTED_BACKENDS)('runBatch on %s', (backend) => {
  describe.each(['llama_gqa_tied', 'mistral_sliding', 'gpt2', 'gpt_oss', 'deepseek_v3'])('of %s', (name) => {
    let model: Model;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend });
      return () => {
        model.dispose();
      };
    });

    describe('with a model', () => {
      expectNothingLeft(() => model.backend);

      it('gives each prompt the logits and every activation that it has alone', () => {
        const capture = model.hooks;
        const runs = model.runBatch(PROMPTS, { capture });
        runs.forEach((run, i) => {
          using alone = model.run(PROMPTS[i], { capture });
          expectClose(run.logits.data(), alone.logits.data(), `logits of prompt ${i}`);
          for (const hook of capture) {
            expect(run.acts[hook].shape, hook).toEqual(alone.acts[hook].shape);
            expectClose(run.acts[hook].data(), alone.acts[hook].data(), `${hook} of prompt ${i}`);
          }
          run.dispose();
        });
      });

      it('edits each prompt by itself, and one prompt only where the edit is its own', () => {
        const halve = { 'blocks.0.attn.hook_z': (z: Tensor) => z.mul(0.5) };
        const edit = { 'blocks.1.attn.hook_pattern': (pattern: Tensor) => pattern.mul(0.9) };
        const runs = model.runBatch([PROMPTS[0], { prompt: PROMPTS[2], edit: halve }], { edit, rows: 'last' });
        const edits = [edit, { ...edit, ...halve }];
        runs.forEach((run, i) => {
          using alone = model.run([PROMPTS[0], PROMPTS[2]][i], { edit: edits[i], rows: 'last' });
          expectClose(run.logits.data(), alone.logits.data(), `prompt ${i}`);
          run.dispose();
        });
      });

      it('shows the rows of all prompts to an edit of the batch', () => {
        const seen: number[] = [];
        const runs = model.runBatch(PROMPTS, {
          editBatch: {
            'blocks.0.hook_resid_post': (x) => {
              seen.push(x.shape[0]);
              return x.mul(0.5);
            },
          },
        });
        expect(seen).toEqual([20]);
        runs.forEach((run, i) => {
          using alone = model.run(PROMPTS[i], { edit: { 'blocks.0.hook_resid_post': (x) => x.mul(0.5) } });
          expectClose(run.logits.data(), alone.logits.data(), `prompt ${i}`);
          run.dispose();
        });
      });

      it('starts all prompts at a layer, and stops all at a hook', () => {
        const hook = 'blocks.1.hook_resid_pre';
        const bases = model.runBatch(PROMPTS, { capture: [hook] });
        const runs = model.runBatch(
          PROMPTS.map((prompt, i) => ({ prompt, from: { layer: 1, residual: bases[i].acts[hook] } })),
          { capture: ['blocks.1.attn.hook_pattern'], until: 'blocks.1.attn.hook_pattern' },
        );
        runs.forEach((run, i) => {
          using alone = model.run(PROMPTS[i], { capture: ['blocks.1.attn.hook_pattern'] });
          const pattern = (acts: typeof alone.acts): Float32Array => acts['blocks.1.attn.hook_pattern'].data();
          expectClose(pattern(run.acts), pattern(alone.acts), `prompt ${i}`);
          run.dispose();
          bases[i].dispose();
        });
      });
    });
  });

  it('goes on from a cache for each prompt', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { backend });
    using cache = model.newCache();
    model.run(PROMPTS[0].slice(0, 5), { cache }).dispose();
    const runs = model.runBatch([{ prompt: PROMPTS[0].slice(5), cache }, PROMPTS[2]], { rows: 'last' });
    using alone = model.run(PROMPTS[0], { rows: 'last' });
    expectClose(runs[0].logits.data(), alone.logits.data(), 'the prompt with a cache');
    expect(cache.length).toBe(12);
    for (const run of runs) run.dispose();
    expect(() =>
      model.runBatch([
        { prompt: [1], cache },
        { prompt: [2], cache },
      ]),
    ).toThrow(/two sequences share a cache/);
  });
});
