import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model, steering, steeringVector, Tensor } from '../../src/index.ts';
import { expectNear, modelFolder } from '../support/fixtures.ts';

const HOOK = 'blocks.1.hook_resid_pre';
const PROMPT = [5, 9, 200, 17, 42];

let model: Model;
beforeAll(async () => {
  model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', weights: 'f32' });
  return () => {
    model.dispose();
  };
});

describe('steering', () => {
  it('by a vector is the difference of the means of last rows, added at every position', () => {
    const sets = { towards: [[5, 9], [7, 8, 9], [11]], away: [[300, 2]] };
    const last = (tokens: readonly number[]): Float32Array => {
      using run = model.run(tokens, { capture: [HOOK] });
      return run.acts[HOOK].data().slice(-model.config.dim);
    };
    const rows = sets.towards.map(last);
    const away = last(sets.away[0]);
    const byHand = away.map((value, i) => rows.reduce((sum, row) => sum + row[i], 0) / 3 - value);
    using vector = steeringVector(model, { ...sets, hook: HOOK });
    expect(vector.shape).toEqual([model.config.dim]);
    expectNear(vector.data(), byHand, 1e-6, 'vector');

    using steered = model.run(PROMPT, { capture: [HOOK], edit: { [HOOK]: steering(vector, -1.5) } });
    using plain = model.run(PROMPT, { capture: [HOOK] });
    const moved = plain.acts[HOOK].data().map((value, i) => value - 1.5 * byHand[i % byHand.length]);
    expectNear(steered.acts[HOOK].data(), moved, 1e-5, 'residual stream');
  });

  it('goes on for the tokens that are generated', async () => {
    using vector = Tensor.from(model.backend, new Float32Array(model.config.dim).fill(0.5));
    const seen: number[] = [];
    const edit = { [HOOK]: steering(vector) };
    for await (const { acts } of model.generate(PROMPT, { maxTokens: 3, temperature: 0, capture: [HOOK], edit }))
      seen.push(acts[HOOK].shape[0]);
    expect(seen).toEqual([PROMPT.length, 1, 1]);
  });

  it('refuses an empty set, an unknown hook and a vector of another width', () => {
    expect(() => steeringVector(model, { towards: [], away: [[1]], hook: HOOK })).toThrow(
      'steeringVector: towards must be a list of prompts, at least one, got [].',
    );
    expect(() => steeringVector(model, { towards: [[1]], away: [[2]], hook: 'blocks.1.hook_resid' })).toThrow(
      'no hook "blocks.1.hook_resid"',
    );
    using vector = Tensor.from(model.backend, new Float32Array(3));
    expect(() => model.run(PROMPT, { edit: { [HOOK]: steering(vector) } })).toThrow(
      'steering: expected a vector [64], got [3].',
    );
  });
});
