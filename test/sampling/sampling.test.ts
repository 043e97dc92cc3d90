import { describe, expect, test } from 'vitest';
import { argmax, describeBroken, logprobOf, NonFiniteLogitsError, topLogprobs } from '../../src/sampling/logits.ts';
import type { SamplingOptions } from '../../src/sampling/sampling-options.ts';
import { OptionError } from '../../src/options.ts';
import { createRandom, sampleFrom } from '../../src/sampling/random.ts';
import { probabilities } from '../../src/sampling/probabilities.ts';
import { samplingCases } from '../support/sampling-cases.ts';

describe('probabilities', () => {
  test.each(samplingCases)('equal to transformers, case $name', ({ logits, options, previous_ids, probs }) => {
    const got = probabilities(Float32Array.from(logits), options, previous_ids);
    probs.forEach((p, i) => {
      expect(Math.abs(got[i] - p), `token ${i}`).toBeLessThan(1e-5);
      expect(got[i] > 0, `token ${i} kept`).toBe(Math.fround(p) > 0);
    });
  });

  // Logits of 1/2, 1/4, 1/8, 1/8, so that the arithmetic can be done by eye.
  const dyadic = Float32Array.of(0, -1, -2, -2).map((x) => x * Math.LN2);
  const cases: [string, SamplingOptions, number[], number[]][] = [
    ['nothing set', {}, [], [1 / 2, 1 / 4, 1 / 8, 1 / 8]],
    ['temperature 0 is greedy', { temperature: 0, topP: 0.9 }, [], [1, 0, 0, 0]],
    ['greedy looks at the penalties', { temperature: 0, presencePenalty: 5 }, [0], [0, 1, 0, 0]],
    ['temperature 0.5 squares', { temperature: 0.5 }, [], [16 / 22, 4 / 22, 1 / 22, 1 / 22]],
    ['top-k keeps ties', { topK: 3 }, [], [1 / 2, 1 / 4, 1 / 8, 1 / 8]],
    ['top-k 2', { topK: 2 }, [], [2 / 3, 1 / 3, 0, 0]],
    ['top-p keeps of ties only what it needs, the later', { topP: 0.8 }, [], [4 / 7, 2 / 7, 0, 1 / 7]],
    ['top-p 0 keeps one', { topP: 0 }, [], [1, 0, 0, 0]],
    ['top-p sees what top-k left', { topK: 2, topP: 0.6 }, [], [1, 0, 0, 0]],
    ['min-p is relative to the best', { minP: 0.4 }, [], [2 / 3, 1 / 3, 0, 0]],
    ['presence counts a token once', { presencePenalty: Math.LN2 }, [0, 0], [1 / 3, 1 / 3, 1 / 6, 1 / 6]],
    ['frequency counts each time', { frequencyPenalty: Math.LN2 }, [0, 0], [1 / 5, 2 / 5, 1 / 5, 1 / 5]],
    ['bias', { logitBias: { 2: Math.LN2, 0: -Infinity } }, [], [0, 2 / 5, 2 / 5, 1 / 5]],
    ['no token may follow as before', { noRepeatNgramSize: 2 }, [1, 0, 2, 1], [0, 1 / 2, 1 / 4, 1 / 4]],
    ['runs of one token: none may come twice', { noRepeatNgramSize: 1 }, [0, 2], [0, 2 / 3, 0, 1 / 3]],
    ['a text shorter than a run forbids nothing', { noRepeatNgramSize: 4 }, [0, 0], [1 / 2, 1 / 4, 1 / 8, 1 / 8]],
    [
      'min-p 1 keeps what is as likely as the best',
      { minP: 1, logitBias: { 0: -Infinity, 1: -Infinity } },
      [],
      [0, 0, 1 / 2, 1 / 2],
    ],
    ['top-k of all tokens keeps all', { topK: 4 }, [], [1 / 2, 1 / 4, 1 / 8, 1 / 8]],
  ];
  test.each(cases)('%s', (_, options, previous, expected) => {
    const got = probabilities(dyadic, options, previous);
    expected.forEach((p, i) => {
      expect(got[i]).toBeCloseTo(p, 6);
    });
  });

  test.each([-1e4, 1e4])('are the same %d higher, whatever truncates them', (shift) => {
    const even = Float32Array.of(3, 2, 2, -9);
    for (const options of [{}, { topP: 0.7 }, { minP: 0.3 }, { typicalP: 0.5 }, { topK: 2 }])
      expect(
        probabilities(
          even.map((x) => x + shift),
          options,
        ),
      ).toEqual(probabilities(even, options));
  });

  test('selection agrees with a full sort over a large vocabulary with many ties', () => {
    const random = createRandom(3);
    const logits = Float32Array.from({ length: 20_000 }, () => Math.round(random() * 4000) / 200);
    const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || b - a);
    const all = probabilities(logits);
    for (const topP of [0.1, 0.5, 0.9, 0.999]) {
      const got = probabilities(logits, { topP });
      let mass = 0;
      const kept = new Set(order.filter((id) => (mass < topP ? ((mass += all[id]), true) : false)));
      const wrong = order.filter((id) => got[id] > 0 !== kept.has(id));
      // Where the mass meets the target in the last bits, one token may fall on either side.
      expect(wrong.length).toBeLessThanOrEqual(1);
    }
    for (const topK of [1, 50, 7000]) {
      const got = probabilities(logits, { topK });
      expect(order.filter((id) => got[id] > 0)).toEqual(order.filter((id) => logits[id] >= logits[order[topK - 1]]));
    }
  });

  test('the logits given stay as they are', () => {
    const logits = dyadic.slice();
    probabilities(logits, { temperature: 0.5, repetitionPenalty: 2, topK: 1 }, [0, 1]);
    expect(logits).toEqual(dyadic);
  });

  test.each<[Record<string, unknown>, RegExp]>([
    [{ temperature: -1 }, /temperature must be a finite number, 0 or above, got -1/],
    [{ temperature: Number.NaN }, /temperature .* got NaN/],
    [{ topK: 1.5 }, /topK must be a whole number from 0, got 1\.5/],
    [{ topP: 1.1 }, /topP must be a number from 0 to 1, got 1\.1/],
    [{ minP: '0.1' }, /minP .* got "0\.1"/],
    [{ typicalP: 0 }, /typicalP .* got 0/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty .* got 0/],
    [{ presencePenalty: Infinity }, /presencePenalty .* got Infinity/],
    [{ noRepeatNgramSize: -1 }, /noRepeatNgramSize .* got -1/],
    [{ seed: 0.5 }, /seed must be a whole number below 2\^53 in size, got 0\.5/],
    [{ logitBias: { 4: 1 } }, /logitBias must be .* token ids, which are whole numbers from 0 to 3, got \{4: 1\}/],
    [{ temperature: Infinity }, /temperature .* got Infinity/],
    [{ topP: -0.1 }, /topP .* got -0\.1/],
    [{ minP: 1.5 }, /minP .* got 1\.5/],
    [{ minP: -0.1 }, /minP .* got -0\.1/],
    [{ typicalP: 1.5 }, /typicalP .* got 1\.5/],
    [{ repetitionPenalty: Infinity }, /repetitionPenalty .* got Infinity/],
    [{ frequencyPenalty: Number.NaN }, /frequencyPenalty must be a finite number, got NaN/],
    [{ seed: 2 ** 53 }, /seed .* got 9007199254740992/],
    [{ logitBias: { x1: 1 } }, /logitBias .* got \{x1: 1\}/],
    [{ logitBias: { '1x': 1 } }, /logitBias/],
    [{ logitBias: { '1.5': 1 } }, /logitBias/],
    [{ logitBias: { 1: 1, 4: 1 } }, /logitBias .* got \{1: 1, 4: 1\}/],
    [{ logitBias: { 1: Infinity } }, /logitBias .* got \{1: Infinity\}/],
    [{ logitBias: { 1: '2' } }, /logitBias .* got \{1: "2"\}/],
    [{ logitBias: { 1: Number.NaN } }, /logitBias must be an object of finite numbers or -Infinity .* got \{1: NaN\}/],
  ])('refuses %j', (options, message) => {
    expect(() => probabilities(dyadic, options)).toThrow(message);
    expect(() => probabilities(dyadic, options)).toThrow(OptionError);
  });

  test.each<SamplingOptions>([
    { temperature: 0 },
    { topK: 0 },
    { topP: 0 },
    { topP: 1 },
    { minP: 0 },
    { minP: 1 },
    { typicalP: 1 },
    { seed: 2 ** 53 - 1 },
    { seed: 1 - 2 ** 53 },
    { logitBias: { 3: -1 } },
  ])('takes the bound itself: %j', (options) => {
    expect(() => probabilities(dyadic, options)).not.toThrow();
  });

  test.each([
    ['NaN', [0, Number.NaN, Infinity], /token 1 is NaN/],
    ['Infinity', [0, 1, Infinity], /token 2 is Infinity/],
    ['nothing possible', [-Infinity, -Infinity], /none of 2 tokens/],
    ['no logits', [], /none of 0 tokens/],
  ])('never a token from %s', (_, logits, message) => {
    for (const temperature of [0, 1]) {
      const attempt = () => probabilities(Float32Array.from(logits), { temperature, topK: 1 });
      expect(attempt).toThrow(NonFiniteLogitsError);
      expect(attempt).toThrow(message);
    }
  });

  test('previous tokens outside the vocabulary are refused', () => {
    for (const options of [{ repetitionPenalty: 2 }, { presencePenalty: 1 }, { frequencyPenalty: 1 }])
      for (const id of [4, -1])
        expect(() => probabilities(dyadic, options, [3, id])).toThrow(new RegExp(`ids from 0 to 3, got ${id}`));
  });
});

describe('createRandom', () => {
  // From an independent implementation of SplitMix64 and xoshiro128** in Python's integers.
  test.each([
    [0, [0.870254774404272, 0.6697971505310978, 0.3616586206733957]],
    [42, [0.4137016681565887, 0.003983993377814743, 0.6500837027638867]],
    [-1, [0.11122081116347982, 0.12938300625619603, 0.014282055722108056]],
    [2 ** 53 - 1, [0.2871189810310325, 0.1540904543499252, 0.6056109088751621]],
  ])('seed %i', (seed, expected) => {
    const random = createRandom(seed);
    expect([random(), random(), random()]).toEqual(expected);
  });
});

describe('sampleFrom', () => {
  test('draws in proportion: chi-square over 100 000 draws', () => {
    const p = Float32Array.of(0.4, 0, 0.3, 0.15, 0.1, 0.05);
    const counts = p.map(() => 0);
    const random = createRandom(1);
    const n = 100_000;
    for (let i = 0; i < n; i++) counts[sampleFrom(p, random)]++;
    expect(counts[1]).toBe(0);
    const terms = counts.map((count, i) => (p[i] === 0 ? 0 : (count - n * p[i]) ** 2 / (n * p[i])));
    // 4 degrees of freedom: beyond 18.5 with probability 0.001
    expect(terms.reduce((a, b) => a + b)).toBeLessThan(18.5);
  });

  test('the extremes of the random number reach the first and the last possible token', () => {
    const p = Float32Array.of(0, 0.25, 0.5, 0);
    expect(sampleFrom(p, () => 0)).toBe(1);
    expect(sampleFrom(p, () => 1 - 2 ** -53)).toBe(2);
  });

  test('a token has the numbers from the sum before it up to its own, without that one', () => {
    const p = Float32Array.of(0.25, 0.25, 0.5);
    expect([0, 0.2, 0.25, 0.49, 0.5, 0.99].map((x) => sampleFrom(p, () => x))).toEqual([0, 0, 1, 1, 2, 2]);
    // The same where the sum is not 1.
    const weights = p.map((x) => 8 * x);
    expect([0, 0.2, 0.25, 0.49, 0.5, 0.99].map((x) => sampleFrom(weights, () => x))).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test('a token of probability 0 is not drawn, even where sums are rounded', () => {
    // Each of the small ones rounds the sum up by more than it has, so that what is left never falls below 0.
    const small = 3 * 2 ** -54;
    expect(sampleFrom(Float32Array.of(1, small, small, small, small, 0), () => 1 - 2 ** -53)).toBe(4);
  });

  test('refuses what is no distribution', () => {
    for (const p of [[], [0, 0], [Number.NaN, 1]]) {
      expect(() => sampleFrom(Float32Array.from(p), () => 0.5)).toThrow(NonFiniteLogitsError);
    }
  });
});

describe('log-probabilities', () => {
  const logits = Float32Array.of(1000, 1000 - Math.LN2, -Infinity, 1000 - Math.LN2);

  test('logprobOf holds for large logits', () => {
    const got = logits.map((_, token) => logprobOf(token, logits));
    expect(got[2]).toBe(-Infinity);
    [1 / 2, 1 / 4, 0, 1 / 4].forEach((p, i) => {
      expect(Math.exp(got[i])).toBeCloseTo(p, 4);
    });
  });

  test('topLogprobs: most likely first, ties by id', () => {
    expect(topLogprobs(logits, 2).map(({ token }) => token)).toEqual([0, 1]);
    expect(topLogprobs(logits, 9).map(({ token }) => token)).toEqual([0, 1, 3, 2]);
    expect(topLogprobs(logits, 1)[0].logprob).toBeCloseTo(Math.log(0.5), 4);
    expect(topLogprobs(logits, 0)).toEqual([]);
  });

  test('argmax takes the first; what is broken is said', () => {
    expect(argmax(Float32Array.of(1, 3, 3))).toBe(1);
    expect(describeBroken(logits)).toBeUndefined();
    expect(describeBroken(Float32Array.of(1, Infinity, NaN, NaN))).toBe('the logit of token 2 is NaN');
    expect(describeBroken(Float32Array.of(1, Infinity, -Infinity))).toBe('the logit of token 1 is Infinity');
    expect(describeBroken(Float32Array.of(-Infinity, -Infinity))).toBe('every logit is -Infinity');
    expect(describeBroken(Float32Array.of(-Infinity, 3))).toBeUndefined();
    expect(describeBroken(Float32Array.of())).toBe('every logit is -Infinity');
  });
});
