import { beforeAll, describe, expect, it } from 'vitest';
import { headScores, load, logitAttribution, logitLens, type Model } from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';
import { pair, readTensors } from './interp-values.ts';

const worst = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
};

describe('looking at SmolLM2 as PyTorch does', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(convertedModelFolder(), { backend: 'tensorflow' });
    return () => {
      model.dispose();
    };
  });

  it('sees through the logit lens what each layer would predict', () => {
    const lens = logitLens(model, pair.clean, { tokens: [pair.answer] });
    const [rows, T] = lens.shape;
    const [ids, logits, gaps] = [
      pair.ints('lens_top_ids'),
      pair.floats('lens_top_logits'),
      pair.floats('lens_top_gap'),
    ];
    for (let place = 0; place < rows * T; place++) {
      const own = lens.places[Math.floor(place / T)][place % T];
      expect(worst(Float32Array.from(own.logits), logits.subarray(place * 5, place * 5 + 5))).toBeLessThan(2e-3);
      if (gaps[place] > 4e-3) expect(own.ids).toEqual([...ids.subarray(place * 5, place * 5 + 5)]);
    }
    const [answer] = lens.tokens;
    expect(worst(answer.logits, pair.floats('lens_answer_logit'))).toBeLessThan(2e-3);
    const [low, high] = [pair.ints('lens_answer_rank_low'), pair.ints('lens_answer_rank_high')];
    answer.ranks.forEach((rank, i) => {
      expect(rank).toBeGreaterThanOrEqual(low[i]);
      expect(rank).toBeLessThanOrEqual(high[i]);
    });
  });

  it('attributes a logit difference to the embedding, layers, heads and neurons', () => {
    const { answer, wrong } = pair;
    const parts = logitAttribution(model, pair.clean, { answer, wrong, neurons: true });
    expect(Math.abs(parts.divisor / pair.divisor - 1)).toBeLessThan(1e-5);
    expect(Math.abs(parts.embed - pair.floats('dla_embed')[0])).toBeLessThan(1e-3);
    expect(worst(parts.attn, pair.floats('dla_attn'))).toBeLessThan(1e-3);
    expect(worst(parts.mlp, pair.floats('dla_mlp'))).toBeLessThan(1e-3);
    expect(worst(parts.heads, pair.floats('dla_head'))).toBeLessThan(1e-3);
    expect(Math.abs(parts.total - pair.cleanDifference)).toBeLessThan(2e-3);
    const F = model.config.mlpDim;
    const neurons = parts.mlp.map((_, layer) =>
      parts.neurons!.subarray(layer * F, (layer + 1) * F).reduce((sum, x) => sum + x, 0),
    );
    expect(worst(neurons, parts.mlp)).toBeLessThan(1e-3);
  });

  it('scores heads by what they attend to', () => {
    const expected = readTensors('heads.safetensors') as Readonly<Record<string, Float32Array>>;
    const repeated = headScores(model, [...expected.repeated_ids]);
    expect(worst(repeated.previousToken, expected.previous_token)).toBeLessThan(1e-4);
    expect(worst(repeated.firstToken, expected.first_token)).toBeLessThan(1e-4);
    expect(worst(repeated.induction, expected.induction)).toBeLessThan(1e-4);
    expect(worst(repeated.duplicateToken, expected.duplicate_token)).toBeLessThan(1e-4);
    const text = headScores(model, pair.clean);
    expect(worst(text.previousToken, expected['store.previous_token'])).toBeLessThan(1e-4);
    expect(worst(text.firstToken, expected['store.first_token'])).toBeLessThan(1e-4);
  });
});
