import { beforeAll, describe, expect, it } from 'vitest';
import { type GenerateOptions, load, type Model, samplerTrace, type TokenTrace } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

const PROMPT = [5, 9, 200, 17, 42];
const SAMPLED: GenerateOptions = {
  maxTokens: 12,
  temperature: 1.3,
  topK: 40,
  topP: 0.9,
  repetitionPenalty: 1.2,
  seed: 7,
  ignoreEos: true,
};

let model: Model;
beforeAll(async () => {
  model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', weights: 'f32' });
  return () => {
    model.dispose();
  };
});

async function traced(options: Parameters<typeof samplerTrace>[2]): Promise<TokenTrace[]> {
  const traces: TokenTrace[] = [];
  for await (const trace of samplerTrace(model, PROMPT, options)) traces.push(trace);
  return traces;
}

async function generated(options: GenerateOptions): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { token } of model.generate(PROMPT, options)) tokens.push(token);
  return tokens;
}

describe('samplerTrace', () => {
  it.each([
    ['sampled', SAMPLED],
    ['greedy', { maxTokens: 6, temperature: 0, ignoreEos: true }],
  ])('%s: gives the tokens of generate, each by the interval that its random number lies in', async (_, options) => {
    const traces = await traced(options);
    expect(traces.map(({ token }) => token)).toEqual(await generated(options));
    for (const { token, random, interval, alternatives, stages } of traces) {
      expect(random).toBeGreaterThanOrEqual(interval[0]);
      expect(random).toBeLessThan(interval[1]);
      const chosen = alternatives.find((one) => one.token === token)!;
      expect(chosen.removedBy).toBeUndefined();
      expect(chosen.probabilities).toHaveLength(stages.length);
      expect(chosen.probabilities.at(-1)).toBeCloseTo(interval[1] - interval[0], 5);
    }
  });

  it('penalises the tokens of a cache too, which are part of the text', async () => {
    const options = { ...SAMPLED, maxTokens: 4, repetitionPenalty: 3 };
    const all = await generated(options);
    using cache = model.newCache();
    model.forward(PROMPT.slice(0, 3), { cache }).dispose();
    const tokens: number[] = [];
    for await (const { token } of samplerTrace(model, PROMPT.slice(3), { ...options, cache })) tokens.push(token);
    expect(tokens).toEqual(all);
  });

  it('draws a seed where none is given, and follows it', async () => {
    const { seed: _, ...unseeded } = SAMPLED;
    expect(await traced(unseeded)).toHaveLength(12);
  });

  it('shows what an edit of the pass makes of the logits, and refuses one that acts behind the stages', async () => {
    const forbid = { hook_logits: () => new Float32Array(512).map((_, id) => (id === 77 ? 5 : 0)) };
    const [edited] = await traced({ maxTokens: 1, temperature: 0, edit: forbid });
    expect(edited.token).toBe(77);
    const force = { 'sampler.hook_token': () => Int32Array.of(3) };
    await expect(traced({ maxTokens: 1, temperature: 0, edit: force })).rejects.toThrow(
      'got 3. Leave out edits of sampler.*',
    );
    const shifted = { 'sampler.hook_logits': (logits: { data(): Float32Array }) => logits.data().map((x) => x / 2) };
    await expect(traced({ ...SAMPLED, edit: shifted })).rejects.toThrow('Leave out edits of sampler.*');
  });
});
