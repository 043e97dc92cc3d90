import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
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
    return () => {
      model.dispose();
    };
  });

  /** Tokens that are generated one by one; the others are compared in one pass over all of them. */
  const STEPS = 6;

  it.each(expected.prompts)(
    'renders and answers the $name prompt with the tokens that PyTorch gives',
    async (prompt) => {
      const { text, tokens } = model.renderChat(prompt.messages, { addGenerationPrompt: true });
      expect(text).toBe(prompt.text);
      expect(tokens).toEqual(prompt.prompt_ids);

      using cache = model.newCache();
      const generated = [];
      const options = { cache, maxTokens: STEPS, temperature: 0, ignoreEos: true, logprobs: 5 };
      for await (const token of model.generate(tokens, options)) generated.push(token);
      expect(generated.map(({ token }) => token)).toEqual(prompt.greedy_ids.slice(0, STEPS));
      expect(generated[0].topLogprobs?.map(({ token }) => token)).toEqual(prompt.top5_ids);
      generated[0].topLogprobs?.forEach(({ logprob }, i) => {
        expect(Math.abs(logprob - prompt.top5_logprobs[i])).toBeLessThan(1e-3);
      });

      // The cache holds all generated tokens but the last: from there on, each row's most likely token is the next one.
      const rest = prompt.greedy_ids.slice(STEPS - 1);
      using logits = model.forward(rest.slice(0, -1), { cache, logits: 'all' });
      const rows = logits.data();
      const V = model.config.vocabSize;
      const greedy = rest.slice(1).map((_, row) => {
        const own = rows.subarray(row * V, (row + 1) * V);
        return own.indexOf(own.reduce((most, logit) => Math.max(most, logit), -Infinity));
      });
      expect(greedy).toEqual(rest.slice(1));
    },
  );

  it('gives a text the perplexity that PyTorch gives it', () => {
    const { ids, nll_sum: nllSum, text } = expected.perplexity;
    expect(model.tokenizer.encode(text)).toEqual(ids);
    expect(Math.abs(model.score(ids).nll / nllSum - 1)).toBeLessThan(1e-4);
  });
});
