import { describe, expect, it } from 'vitest';
import { integratedGradients, liveTensors, load, type Model, scope, Tensor } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';
import { random } from '../support/f64-oracle.ts';

const TOKENS = [5, 9, 3, 200, 17];
const of = (logits: Tensor): Tensor => logits.slice([0, 5], [1, 1]).sub(logits.slice([0, 9], [1, 1]));
const loaded = (): Promise<Model> => load(modelFolder('llama_gqa_tied'), { backend: 'reference-f64' });

describe('integrated gradients', () => {
  it.each([
    ['blocks.1.hook_resid_pre', 'another prompt'],
    ['hook_embed', 'another prompt'],
    ['blocks.0.hook_mlp_out', 'zeros'],
  ])('are complete: they sum to the difference that the activation makes, at %s from %s', async (at, start) => {
    using model = await loaded();
    using other = model.run([5, 9, 8, 201, 17], { capture: [at] });
    const baseline = start === 'zeros' ? undefined : other.acts[at];
    const before = liveTensors();
    const gaps = [8, 32].map((steps) => {
      const result = integratedGradients(model, TOKENS, { of, at, baseline, steps });
      const sum = result.attributions.data64().reduce((all, part) => all + part, 0);
      const { value, baselineValue, gap } = result;
      result.dispose();
      expect(Math.abs(gap - (sum - (value - baselineValue)))).toBeLessThan(1e-9);
      return Math.abs(gap) / Math.abs(value - baselineValue);
    });
    expect(liveTensors()).toBe(before);
    expect(gaps[1]).toBeLessThan(0.02);
    expect(gaps[1]).toBeLessThan(gaps[0]);
  });

  it('of a value that is linear in the activation are exact with one step, whatever the baseline', async () => {
    using model = await loaded();
    const at = 'unembed.hook_out';
    scope('', () => {
      const shape = [1, model.config.vocabSize];
      const baseline = Tensor.from(model.backend, random(shape, 3).values, shape);
      using result = integratedGradients(model, TOKENS, { of, at, baseline, steps: 1 });
      using run = model.run(TOKENS, { rows: 'last' });
      const [logits, from] = [run.logits.data64(), baseline.data64()];
      const expected = logits.map((x, i) => (i === 5 ? x - from[i] : i === 9 ? from[i] - x : 0));
      const actual = result.attributions.data64();
      expect(Math.max(...actual.map((x, i) => Math.abs(x - expected[i])))).toBeLessThan(1e-12);
      expect(Math.abs(result.gap)).toBeLessThan(1e-12);
      expect(result.baselineValue).toBe(from[5] - from[9]);
    });
  });

  it('refuse a baseline of another shape, several hooks, and no steps', async () => {
    using model = await loaded();
    const before = liveTensors();
    scope('', () => {
      const baseline = Tensor.from(model.backend, [1, 2]);
      const run = (options: object) => () => {
        integratedGradients(model, TOKENS, { of, at: 'hook_embed', ...options }).dispose();
      };
      expect(run({ baseline })).toThrow('integratedGradients: expected a baseline [5, 64], as hook_embed is, got [2].');
      expect(run({ steps: 0 })).toThrow('integratedGradients: steps must be a whole number from 1, got 0.');
      expect(run({ at: 'blocks.*.hook_mlp_out' })).toThrow(
        'integratedGradients: expected the name of one hook, got "blocks.*.hook_mlp_out".',
      );
    });
    expect(liveTensors()).toBe(before);
  });
});
