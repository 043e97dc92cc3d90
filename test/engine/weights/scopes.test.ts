import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load } from '../../../src/engine/load/load.ts';
import type { Model } from '../../../src/engine/model.ts';
import type { WeightEdits } from '../../../src/engine/weight-scopes.ts';
import { liveTensors, Tensor } from '../../../src/tensor/tensor.ts';
import { modelFolder, randomTokens } from '../../support/fixtures.ts';

const TOKENS = randomTokens(7, 90);

/** All logits. */
function logits(model: Model): Float32Array {
  using rows = model.forward(TOKENS, { logits: 'all' });
  return rows.data();
}

describe('a scope of edited weights', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { compute: 'f32' });
  });
  afterAll(() => {
    model.dispose();
  });

  it('gives back what the body gives, and restores the weights when it throws, or when an edit does', () => {
    const before = logits(model);
    const zeros = { 'blocks.0.attn.W_V': (W: Tensor) => W.mul(0) };
    const live = liveTensors();
    expect(model.withWeights(zeros, () => 42)).toBe(42);
    expect(() =>
      model.withWeights(zeros, () => {
        throw new Error('body');
      }),
    ).toThrow('body');
    expect(() => model.withWeights({ ...zeros, 'ln_final.w': () => new Float32Array(3) }, () => 0)).toThrow(
      'withWeights: ln_final.w: expected f32 [64], as a tensor or its numbers, got 3 numbers.',
    );
    expect(liveTensors()).toBe(live);
    expect(logits(model)).toEqual(before);
  });

  it('weights of an async body stay until its promise settles', async () => {
    const before = logits(model);
    const zeros = { W_U: (W: Tensor) => W.mul(0) };
    const late = await model.withWeights(zeros, async () => {
      await Promise.resolve();
      return logits(model);
    });
    expect(late.every((x) => x === 0)).toBe(true);
    expect(logits(model)).toEqual(before);
    const failed = model.withWeights(zeros, async () => {
      await Promise.resolve();
      throw new Error('late');
    });
    await expect(failed).rejects.toThrow('late');
    expect(logits(model)).toEqual(before);
  });

  it('scopes that overlap fail, and leave the weights as they were', async () => {
    const before = logits(model);
    const scope = (name: string, turns: number): Promise<number> =>
      model.withWeights({ [name]: (W: Tensor) => W.mul(2) }, async () => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        return turns;
      });
    const ended = await Promise.allSettled([scope('W_E', 1), scope('W_U', 9)]);
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(String((ended[0] as PromiseRejectedResult).reason)).toContain('two scopes overlapped');
    expect(logits(model)).toEqual(before);
  });

  it('a body that gives an iterator is refused: its work would be done with the old weights', () => {
    expect(() => model.withWeights({}, () => model.generate(TOKENS))).toThrow('Iterate in the body');
  });

  it('a generation within the body has the edited weights', async () => {
    const zeros = { W_U: (W: Tensor) => W.mul(0) };
    const options = { maxTokens: 3, temperature: 0 };
    const ids = await model.withWeights(zeros, async () => {
      const seen: number[] = [];
      for await (const { token } of model.generate(TOKENS, options)) seen.push(token);
      return seen;
    });
    expect(ids).toEqual([0, 0, 0]); // All logits are alike.
  });

  it('a generation whose weights change on the way ends with an error', async () => {
    const zeros = { W_U: (W: Tensor) => W.mul(0) };
    const started = model.generate(TOKENS, { maxTokens: 5, temperature: 0 });
    await started.next();
    model.withWeights(zeros, () => logits(model)); // Over before the next pass: it changes nothing.
    await started.next();
    await model.withWeights(zeros, async () => {
      await expect(started.next()).rejects.toThrow('generate: withWeights changed the weights on the way');
    });
    const within = await model.withWeights(zeros, async () => {
      const tokens = model.generate(TOKENS, { maxTokens: 5 });
      await tokens.next();
      return { tokens };
    });
    await expect(within.tokens.next()).rejects.toThrow('generate: withWeights changed the weights on the way');
  });

  it('messages say what was expected, what came, and what is nearest', () => {
    using other = Tensor.from(model.backend, new Float32Array(64), [8, 8]);
    const cases: [WeightEdits, string][] = [
      [
        { 'blocks.0.attn.b_Q': () => undefined },
        'no weight "blocks.0.attn.b_Q": W_Q has no bias in this model. Nearest: blocks.0.attn.W_Q',
      ],
      [{ W_pos: () => undefined }, 'This model has no weight "W_pos": positions are not learned. Nearest: '],
      [{ 'blocks.9.ln1.w': () => undefined }, 'This model has no weight "blocks.9.ln1.w". Nearest: blocks.0.ln1.w'],
      [
        { 'ln_final.w': () => other },
        'withWeights: ln_final.w: expected f32 [64], as a tensor or its numbers, got f32 [8, 8].',
      ],
      [{ 'ln_final.w': 3 as never }, 'or a function that gives them, got 3.'],
      [{ 'ln_final.w': (() => Promise.resolve(other)) as never }, 'got a promise (edits are synchronous).'],
    ];
    for (const [edits, message] of cases) expect(() => model.withWeights(edits, () => 0), message).toThrow(message);
    expect(() => model.weights.get('blocks.0.mlp.W_up' as never)).toThrow(
      'This model has no weight "blocks.0.mlp.W_up". Nearest: blocks.0.mlp.W_in',
    );
    expect(() => model.weights.get(3 as never)).toThrow('weights: the name must be a string, got 3.');
    expect(() => model.weights.shape('W_pos')).toThrow('positions are not learned');
    expect(() => model.withWeights({}, undefined as never)).toThrow('withWeights: the body must be a function');
    expect(() => model.withWeights(undefined as never, () => 0)).toThrow('withWeights: the edits must be an object');
  });

  it('of a model that was disposed of is refused, and a copy of a weight stays', async () => {
    const short = await load(modelFolder('llama_gqa_tied'), { compute: 'f32', weights: 'f32' });
    const { weights } = short;
    const copies = weights.names.map((name) => weights.get(name));
    const before = copies.map((copy) => copy.data());
    short.dispose();
    using again = await load(modelFolder('llama_untied'), { compute: 'f32', weights: 'f32' }); // Takes the memory.
    expect(copies.map((copy) => copy.data())).toEqual(before);
    for (const copy of copies) copy.dispose();
    expect(() => weights.get('W_E')).toThrow('the model was disposed of');
    expect(again.weights.names).toContain('W_U');
  });
});
