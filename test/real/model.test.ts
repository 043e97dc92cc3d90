import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';

interface Expected {
  prompts: {
    name: string;
    messages: { role: string; content: string }[];
    text: string;
    prompt_ids: number[];
    greedy_ids: number[];
    top5_ids: number[];
    top5_logprobs: number[];
  }[];
  perplexity: { text: string; ids: number[]; nll_sum: number };
}
// What PyTorch computes in f32 with the same bf16 weights.
const expected = JSON.parse(
  readFileSync(new URL('../fixtures/real/expected.json', import.meta.url), 'utf8'),
) as Expected;

describe('SmolLM2-135M-Instruct in f32', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(convertedModelFolder(), { backend: 'tensorflow', weights: 'f32' });
  });
  afterAll(() => {
    model.dispose();
  });

  it.each(expected.prompts)('$name: prompt, first log-probabilities and greedy tokens', async (prompt) => {
    const { text, tokens } = model.renderChat(prompt.messages, { addGenerationPrompt: true });
    expect(text).toBe(prompt.text);
    expect(tokens).toEqual(prompt.prompt_ids);
    const generated = [];
    for await (const token of model.generate(tokens, { maxTokens: 32, temperature: 0, ignoreEos: true, logprobs: 5 }))
      generated.push(token);
    expect(generated.map(({ token }) => token)).toEqual(prompt.greedy_ids);
    expect(generated[0].topLogprobs?.map(({ token }) => token)).toEqual(prompt.top5_ids);
    generated[0].topLogprobs?.forEach(({ logprob }, i) => {
      expect(Math.abs(logprob - prompt.top5_logprobs[i])).toBeLessThan(1e-3);
    });
  });

  it('expects the text as PyTorch does', () => {
    const { ids, nll_sum: nllSum, text } = expected.perplexity;
    expect(model.tokenizer.encode(text)).toEqual(ids);
    expect(Math.abs(model.score(ids).nll / nllSum - 1)).toBeLessThan(1e-4);
  });
});
