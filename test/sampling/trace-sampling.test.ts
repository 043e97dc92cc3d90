import { describe, expect, it } from 'vitest';
import { type SamplingOptions, traceSampling } from '../../src/index.ts';
import { probabilities } from '../../src/sampling/probabilities.ts';
import { samplingCases } from '../support/sampling-cases.ts';

// Logits of 1/2, 1/4, 1/8, 1/8, so that the arithmetic can be done by eye.
const dyadic = Float32Array.of(0, -1, -2, -2).map((x) => x * Math.LN2);
const H = 1.75 * Math.LN2; // Their entropy.

describe('a trace of the sampler', () => {
  it('says which stage removed a token, and the probability of each after every stage', () => {
    const trace = traceSampling(dyadic, { temperature: 0.5, topK: 2, minP: 0.5 }, [], () => 0.25);
    expect(trace.stages.map(({ name, possible }) => [name, possible])).toEqual([
      ['model', 4],
      ['temperature', 4],
      ['topK', 2],
      ['minP', 1],
    ]);
    expect(trace.stages[0].entropy).toBeCloseTo(H, 6);
    expect(trace.stages[3].entropy).toBe(0);
    expect(trace.alternatives.map(({ token, rank, removedBy }) => [token, rank, removedBy])).toEqual([
      [0, 0, undefined],
      [1, 1, 'minP'],
      [2, 2, 'topK'],
      [3, 2, 'topK'],
    ]);
    const expected = [
      [1 / 2, 16 / 22, 16 / 20, 1],
      [1 / 4, 4 / 22, 4 / 20, 0],
      [1 / 8, 1 / 22, 0, 0],
      [1 / 8, 1 / 22, 0, 0],
    ];
    trace.alternatives.forEach((one, i) => {
      one.probabilities.forEach((p, stage) => {
        expect(p, `token ${one.token}, stage ${stage}`).toBeCloseTo(expected[i][stage], 6);
      });
    });
    expect(trace).toMatchObject({ token: 0, random: 0.25, interval: [0, 1] });
  });

  it.each([
    [0.49, 0, [0, 1 / 2]],
    [0.51, 1, [1 / 2, 3 / 4]],
    [0.76, 2, [3 / 4, 7 / 8]],
    [0.99, 3, [7 / 8, 1]],
  ])('says by which random number the token was chosen: %f', (drawn, token, [from, to]) => {
    const trace = traceSampling(dyadic, {}, [], () => drawn);
    expect(trace.stages.map(({ name }) => name)).toEqual(['model']);
    expect(trace).toMatchObject({ token, random: drawn });
    expect(trace.interval[0]).toBeCloseTo(from, 6);
    expect(trace.interval[1]).toBeCloseTo(to, 6);
  });

  it('names penalties, biases and forbidden runs as stages, where they change something', () => {
    const options = {
      logitBias: { 1: -Infinity },
      presencePenalty: Math.LN2,
      repetitionPenalty: 2,
      noRepeatNgramSize: 2,
    };
    const trace = traceSampling(dyadic, options, [3, 2, 3], () => 0);
    expect(trace.stages.map(({ name, possible }) => [name, possible])).toEqual([
      ['model', 4],
      ['logitBias', 3],
      ['repetitionPenalty', 3],
      ['presenceAndFrequencyPenalty', 3],
      ['noRepeatNgramSize', 2],
    ]);
    expect(Object.fromEntries(trace.alternatives.map(({ token, removedBy }) => [token, removedBy]))).toEqual({
      0: undefined,
      1: 'logitBias',
      2: 'noRepeatNgramSize',
      3: undefined,
    });
  });

  it('says of temperature 0 that it leaves the most likely token', () => {
    const { stages, alternatives, token } = traceSampling(dyadic, { temperature: 0, topP: 0.9 });
    expect(token).toBe(0);
    expect(stages.map(({ name, possible }) => [name, possible])).toEqual([
      ['model', 4],
      ['temperature', 1],
    ]);
    expect(alternatives[1]).toMatchObject({ token: 1, removedBy: 'temperature' });
  });

  it('shows as many alternatives as are asked for, of before and after the stages, and always the chosen token', () => {
    const boosted: SamplingOptions = { logitBias: { 3: 10 } };
    const shown = (alternatives: number, drawn: number): number[] =>
      traceSampling(dyadic, { ...boosted, alternatives }, [], () => drawn).alternatives.map(({ token }) => token);
    expect(shown(1, 0.5)).toEqual([3, 0]);
    expect(shown(0, 0.5)).toEqual([3]);
    expect(shown(0, 0)).toEqual([0]);
    expect(shown(9, 0)).toHaveLength(4);
  });

  it.each(samplingCases)(
    'ends with the distribution of transformers, case $name',
    ({ logits, options, previous_ids, probs }) => {
      const trace = traceSampling(Float32Array.from(logits), { ...options, alternatives: 32 }, previous_ids);
      const ours = probabilities(Float32Array.from(logits), options, previous_ids);
      for (const { token, probabilities: stages, removedBy } of trace.alternatives) {
        expect(Math.fround(stages.at(-1)!), `token ${token}`).toBe(ours[token]);
        expect(Math.abs(stages.at(-1)! - probs[token]), `token ${token}`).toBeLessThan(1e-5);
        if (removedBy !== undefined) expect(probs[token], `token ${token}`).toBe(0);
      }
      expect(trace.alternatives).toHaveLength(32);
    },
  );

  it('refuses what the sampler refuses', () => {
    expect(() => traceSampling(Float32Array.of(NaN, 1))).toThrow('the logit of token 0 is NaN');
    expect(() => traceSampling(dyadic, { topP: 2 })).toThrow(
      'traceSampling: topP must be a number from 0 to 1, got 2.',
    );
    expect(() => traceSampling(dyadic, { alternatives: -1 })).toThrow('traceSampling: alternatives must be');
  });
});
