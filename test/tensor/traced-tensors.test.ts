import { afterEach, describe, expect, it } from 'vitest';
import { createBackend, keep, load, scope, Tensor, tracedTensors, traceTensors } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';
import { collectGarbage } from '../support/garbage.ts';

const backend = createBackend('reference');

afterEach(() => {
  traceTensors(false);
});

describe('traced tensors', () => {
  it('are those that live, with the line that made them', () => {
    using before = Tensor.from(backend, [1]);
    traceTensors();
    const made = scope('', () => {
      const x = before.add([1, 2]); // Freed with the scope.
      return keep(x.norm().unsqueeze(0).at(':1'));
    });
    using second = made.softmax();
    const [first, other, ...more] = tracedTensors();
    expect(more).toEqual([]);
    expect([first.dtype, first.shape, first.kept]).toEqual(['f32', [1], true]);
    expect(first.madeAt).toMatch(/traced-tensors\.test\.ts:18:/);
    expect(other.madeAt).toMatch(/traced-tensors\.test\.ts:20:/);
    expect([other.shape, other.kept]).toEqual([second.shape, false]);
    expect(first.stack.split('\n').length).toBeGreaterThan(3);
    expect(first.stack).toMatch(/new Tensor/);
    made.dispose();
    expect(tracedTensors().length).toBe(1);
    traceTensors(false);
    expect(tracedTensors()).toEqual([]);
  });

  it('name the part of the model that made them', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
    traceTensors();
    using run = model.run([1, 2, 3], { capture: ['blocks.1.hook_resid_mid'] });
    const places = tracedTensors().map(({ shape, madeAt }) => `${String(shape)} ${madeAt}`);
    expect(places).toEqual([
      expect.stringMatching(/^3,512 multiply\w* .*ops\/linear\.ts/), // The logits.
      expect.stringMatching(/^3,64 .*src\/hooks\//),
    ]);
    run.dispose();
    expect(tracedTensors()).toEqual([]);
  });

  it('that are forgotten leave the list once they are collected', async () => {
    traceTensors();
    (() => {
      for (let i = 0; i < 100; i++) Tensor.from(backend, [i]).exp();
    })();
    expect(tracedTensors().length).toBe(200);
    await collectGarbage(() => tracedTensors().length === 0);
    expect(tracedTensors()).toEqual([]);
  });
});
