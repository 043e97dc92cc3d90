import { beforeAll, describe, expect, it } from 'vitest';
import { type GenerateOptions, load, type Model } from '../../../src/index.ts';
import { expectNothingLeft } from '../../support/tested-backends.ts';
import { modelFolder } from '../../support/fixtures.ts';

const text = (length: number): number[] => Array.from({ length }, (_, i) => (i * 37 + (i >> 5) + 5) % 500);
const OPTIONS = { temperature: 0, repetitionPenalty: 1, ignoreEos: true, logprobs: 3 } satisfies GenerateOptions;

/** What generation says of each token: its number, and log-probabilities to the last bit. */
async function answers(model: Model, prompt: readonly number[], options: GenerateOptions): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const { token, logprob, topLogprobs } of model.generate(prompt, { ...OPTIONS, ...options }))
    all.push({ token, logprob, topLogprobs });
  return all;
}

describe.each([
  ['tensorflow', 'llama_gqa_tied', [512, 513]],
  ['tensorflow', 'mistral_sliding', [1100]],
  ['tensorflow', 'gpt_oss', [513]],
  ['tensorflow', 'deepseek_v3', [513]],
  ['reference', 'mistral_sliding', [513]],
] as const)('capturing a long prompt, bf16, on %s', (backend, name, lengths) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder(name), { backend, weights: 'bf16', compute: 'bf16' });
    return () => {
      model.dispose();
    };
  });

  describe(name, () => {
    expectNothingLeft(() => model.backend);

    it.each(lengths)('of %i tokens changes no bit of what is generated', async (length) => {
      const prompt = text(length);
      const plain = await answers(model, prompt, { maxTokens: 2 });
      const hooks = model.hooks.filter((hook) => !/experts\.\d+/.test(hook));
      expect(await answers(model, prompt, { maxTokens: 2, capture: [...hooks, 'sampler.hook_probs'] })).toEqual(plain);
      const chosen = { 'sampler.hook_token': () => undefined };
      expect(await answers(model, prompt, { maxTokens: 2, edit: chosen })).toEqual(plain);
    });
  });
});

describe.each([
  ['llama_gqa_tied', [0, 3]],
  ['mistral_sliding', [3]],
  ['gpt_oss', [3]],
  ['qwen3_moe', [3]],
  ['deepseek_v3', [3]],
  ['gemma2', [3]],
] as const)('%s', (name, lengths) => {
  const LENGTH = 520;
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder(name), { backend: 'tensorflow', weights: 'f32' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it.each(lengths)('shows a prompt of two chunks as one pass does, after %i tokens in a cache', async (before) => {
      const [start, prompt] = [text(before), text(LENGTH + before).slice(before)];
      const fill = () => {
        const cache = model.newCache();
        if (before > 0) model.forward(start, { cache }).dispose();
        return cache;
      };
      using cache = fill();
      using other = fill();
      using run = model.run(prompt, { cache, capture: model.hooks });
      const lines = model.generate(prompt, { ...OPTIONS, cache: other, maxTokens: 1, capture: model.hooks });
      for await (const { acts } of lines) {
        expect(Object.keys(acts!)).toEqual(Object.keys(run.acts));
        for (const [hook, value] of Object.entries(acts!)) {
          const whole = run.acts[hook];
          // Generation asks for the last row of logits.
          const [T, V] = whole.shape;
          using wanted = /^(unembed\.|hook_logits)/.test(hook)
            ? whole.slice([T - 1, 0], [1, V])
            : whole.reshape(whole.shape);
          expect(value.shape, hook).toEqual(wanted.shape);
          expect(value.dtype, hook).toBe(wanted.dtype);
          const numbers = wanted.data();
          const bad = value
            .data()
            .findIndex((x, i) => x !== numbers[i] && !(Math.abs(x - numbers[i]) < 2e-3 * (1 + Math.abs(numbers[i]))));
          expect(bad, `${hook}: ${value.data()[bad]} for ${numbers[bad]}`).toBe(-1);
        }
      }
    });
  });
});

describe('edits in generation', () => {
  it('see the whole prompt, and not the tokens before it', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { backend: 'tensorflow', weights: 'f32' });
    const rows: number[] = [];
    const edit = { 'blocks.1.hook_mlp_out': ({ shape }: { shape: readonly number[] }) => void rows.push(shape[0]) };
    await answers(model, text(700), { maxTokens: 3, edit: edit });
    expect(rows).toEqual([700, 1, 1]);
  });

  it('are heard again, in one piece, for tokens that are computed anew; captures are of the new ones', async () => {
    using model = await load(modelFolder('phi3_longrope_short'), { backend: 'tensorflow', weights: 'f32' });
    const rows: number[] = [];
    const edit = { hook_embed: ({ shape }: { shape: readonly number[] }) => void rows.push(shape[0]) };
    const shown: number[] = [];
    const options = { ...OPTIONS, maxTokens: 5, edit: edit as never, capture: ['hook_embed'] };
    for await (const { acts } of model.generate(text(62), options)) shown.push(acts!.hook_embed.shape[0]);
    // The text gets its 65th token, where all angles change: the 64 before it are computed anew.
    expect(rows).toEqual([62, 1, 1, 64, 1, 1]);
    expect(shown).toEqual([62, 1, 1, 1, 1]);
  });
});
