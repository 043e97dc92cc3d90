import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GenerateOptions, type GeneratedToken, load, type Model, type Prompt } from '../../../src/index.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../../support/tested-backends.ts';
import { modelFolder } from '../../support/fixtures.ts';

interface Conversation {
  readonly messages: { role: string; content: string }[];
  readonly prompt_ids: number[];
  readonly generated_ids: number[];
  readonly generated_text_skip_special: string;
}
const { cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/expected/llama_gqa_tied/e2e.json', import.meta.url), 'utf8'),
) as { cases: Conversation[] };

/** Its generation_config.json asks for sampling and a repetition penalty; the expected tokens are greedy. */
const GREEDY: GenerateOptions = { temperature: 0, repetitionPenalty: 1, ignoreEos: true, maxTokens: 16 };
const PROMPT = cases[0].prompt_ids;

const collect = async (model: Model, prompt: Prompt, options: GenerateOptions = {}): Promise<GeneratedToken[]> => {
  const tokens: GeneratedToken[] = [];
  for await (const token of model.generate(prompt, options)) tokens.push(token);
  return tokens;
};
const ids = (tokens: readonly GeneratedToken[]): number[] => tokens.map(({ token }) => token);
const textOf = (tokens: readonly GeneratedToken[]): string => tokens.map(({ text }) => text).join('');

describe.each(TESTED_BACKENDS)('generate on %s', (backend) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend, weights: 'f32' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it.each(cases)('answers $messages.0.content as transformers does', async (conversation) => {
      const tokens = await collect(model, conversation.messages, GREEDY);
      expect(model.tokensOf(conversation.messages)).toEqual(conversation.prompt_ids);
      expect(ids(tokens)).toEqual(conversation.generated_ids);
      expect(textOf(tokens)).toBe(conversation.generated_text_skip_special);
      expect(tokens.at(-1)?.finishReason).toBe('length');
      expect(tokens.slice(0, -1).every(({ finishReason }) => finishReason === undefined)).toBe(true);
    });

    it('reads a text as the tokenizer does, and token ids as they are', () => {
      expect(model.tokensOf('Hello, you!')).toEqual(model.tokenizer.encode('Hello, you!'));
      expect(model.tokensOf(Int32Array.from(PROMPT))).toEqual(PROMPT);
    });

    it('gives the same tokens for the same seed, and others for another', async () => {
      const sample = async (seed: number) =>
        ids(await collect(model, PROMPT, { temperature: 1, seed, maxTokens: 24, ignoreEos: true }));
      expect(await sample(7)).toEqual(await sample(7));
      expect(await sample(7)).not.toEqual(await sample(8));
    });

    it('takes its defaults from generation_config.json', async () => {
      const explicit = { temperature: 0.7, topP: 0.8, topK: 20, repetitionPenalty: 1.05, stop: [508, 506] };
      const all = await collect(model, PROMPT, { ...explicit, ignoreEos: true, seed: 3, maxTokens: 60 });
      expect(await collect(model, PROMPT, { seed: 3, maxTokens: 60 })).toEqual(all);
    });

    it('penalises tokens of the cache, of the prompt and of its own answer', async () => {
      const wanted = [21, 22, 23]; // In the cache, in the prompt, in neither; by the bias the only ones to choose from.
      const logitBias = Object.fromEntries(wanted.map((id, i) => [id, 1e6 - 1e3 * i]));
      const chosen = async (presencePenalty: number): Promise<number[]> => {
        using cache = model.newCache();
        model.forward([5, 21], { cache }).dispose();
        const options = { ...GREEDY, cache, logitBias, presencePenalty, maxTokens: 3 };
        return ids(await collect(model, [22, 6], options));
      };
      expect(await chosen(0)).toEqual([21, 21, 21]);
      expect(await chosen(1e4)).toEqual([23, 21, 21]);
    });

    it('stops at a token id and at a string across tokens, and shows neither', async () => {
      const free = await collect(model, PROMPT, GREEDY);
      const byId = await collect(model, PROMPT, { ...GREEDY, stop: free[4].token });
      expect(ids(byId)).toEqual(ids(free.slice(0, 5)));
      expect(byId.at(-1)?.finishReason).toBe('stop');
      const text = textOf(free);
      const stop = text.slice(1, 4);
      const byText = await collect(model, PROMPT, { ...GREEDY, stop });
      expect(textOf(byText)).toBe(text.slice(0, text.indexOf(stop)));
      expect(byText.at(-1)?.finishReason).toBe('stop');
    });

    it('gives log-probabilities of the model itself', async () => {
      const [first] = await collect(model, PROMPT, { ...GREEDY, temperature: 0.5, logprobs: 3, seed: 1, maxTokens: 1 });
      const logits = model.forward(PROMPT);
      const values = [...logits.data()];
      logits.dispose();
      const total = Math.log(values.reduce((sum, x) => sum + Math.exp(x), 0));
      expect(first.logprob).toBeCloseTo(values[first.token] - total, 5);
      const best = values.map((x, token) => ({ token, logprob: x - total })).sort((a, b) => b.logprob - a.logprob);
      expect(first.topLogprobs?.map(({ token }) => token)).toEqual(best.slice(0, 3).map(({ token }) => token));
      expect(first.topLogprobs?.[2].logprob).toBeCloseTo(best[2].logprob, 5);
    });

    it('goes on from a cache as from the whole text', async () => {
      const cache = model.newCache();
      const first = await collect(model, PROMPT, { ...GREEDY, cache, maxTokens: 6 });
      expect(cache.tokens).toEqual([...PROMPT, ...ids(first.slice(0, -1))]);
      const rest = await collect(model, [first[5].token], { ...GREEDY, cache, maxTokens: 10 });
      cache.dispose();
      expect([...ids(first), ...ids(rest)]).toEqual(ids(await collect(model, PROMPT, GREEDY)));
    });

    it('shows what it captures, and lets an edit force the token', async () => {
      const shapes: unknown[] = [];
      const edit = { 'sampler.hook_token': () => Float32Array.of(42) };
      const options = { ...GREEDY, maxTokens: 3, capture: ['blocks.*.hook_resid_post', 'sampler.hook_probs'] };
      for await (const { acts } of model.generate(PROMPT, options))
        shapes.push(Object.values(acts ?? {}).map(({ shape }) => shape));
      const { dim, vocabSize, nLayers } = model.config;
      const step = [
        [nLayers, 1, dim],
        [1, vocabSize],
      ];
      expect(shapes).toEqual([
        [
          [nLayers, PROMPT.length, dim],
          [1, vocabSize],
        ],
        step,
        step,
      ]);
      expect(ids(await collect(model, PROMPT, { ...GREEDY, maxTokens: 2, edit }))).toEqual([42, 42]);
    });

    it('ends with an error that names the layer where NaN began', async () => {
      const edit = {
        'blocks.1.hook_mlp_out': ({ shape }: { shape: readonly number[] }) =>
          new Float32Array(shape[0] * shape[1]).fill(NaN),
      };
      await expect(collect(model, PROMPT, { ...GREEDY, edit })).rejects.toThrow(/NaN.*blocks\.1\./);
    });

    it('stops on abort, at once and in the middle, and is right afterwards', async () => {
      await expect(collect(model, PROMPT, { ...GREEDY, signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
        'gone',
      );
      const controller = new AbortController();
      const seen: number[] = [];
      const run = async (): Promise<void> => {
        for await (const { token } of model.generate(PROMPT, { ...GREEDY, signal: controller.signal })) {
          if (seen.push(token) === 4) controller.abort();
        }
      };
      await expect(run()).rejects.toThrow(/abort/i);
      expect(seen).toEqual(cases[0].generated_ids.slice(0, 4));
      expect(ids(await collect(model, PROMPT, GREEDY))).toEqual(cases[0].generated_ids);
    });

    it('runs side by side with others as alone', async () => {
      const runs = await Promise.all(cases.map(({ prompt_ids }) => collect(model, prompt_ids, GREEDY)));
      expect(runs.map(ids)).toEqual(cases.map(({ generated_ids }) => generated_ids));
    });

    it.each<[string, Prompt, GenerateOptions, RegExp]>([
      ['an empty prompt', [], {}, /empty/],
      ['an id outside of the vocabulary', [1, 512], {}, /token 1 .* 512.*0 to 511/],
      ['a negative temperature', PROMPT, { temperature: -1 }, /temperature/],
      ['half a token', PROMPT, { maxTokens: 1.5 }, /maxTokens.*1\.5/],
      ['an empty stop string', PROMPT, { stop: '' }, /stop string/],
      ['an unknown hook', PROMPT, { capture: ['blocks.0.hook_resid_pst'] }, /hook_resid_pst.*Nearest: blocks\.0\.hook_resid_post/], // prettier-ignore
    ])('refuses %s', async (_, prompt, options, message) => {
      await expect(collect(model, prompt, options)).rejects.toThrow(message);
    });
  });
});
