import { beforeAll, describe, expect, it } from 'vitest';
import { keep, liveTensors, load, scope, Tensor, type Model } from '../../src/index.ts';
import { isReference } from '../../src/tensor/backends.ts';
import { modelFolder } from '../support/fixtures.ts';
import { collectGarbage } from '../support/garbage.ts';
import { TESTED_BACKENDS } from '../support/tested-backends.ts';

describe.each(TESTED_BACKENDS)('the garbage collector, on %s,', (backend) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend });
    await collectGarbage();
  });

  const counts = (): number[] => [liveTensors(), model.backend.liveHandles()];
  const expectFreed = async (base: readonly number[]): Promise<void> => {
    await collectGarbage(() => counts().every((count, i) => count === base[i]));
    expect(counts(), 'live tensors and handles').toEqual(base);
  };

  it.each<[string, () => unknown]>([
    ['runs', () => model.run([1, 2, 3], { capture: ['blocks.*.hook_resid_post', 'hook_logits'] })],
    ['logits', () => model.forward([1, 2, 3])],
    ['logits of a batch', () => model.forwardBatch([{ tokens: [1] }, { tokens: [2, 3] }])],
    [
      'caches',
      () => {
        const cache = model.newCache();
        model.forward([1, 2, 3], { cache }).dispose();
      },
    ],
    [
      'forks of a cache',
      () => {
        using cache = model.newCache();
        model.forward([1, 2, 3], { cache }).dispose();
        cache.fork();
      },
    ],
    ['tensors of the caller', () => Tensor.from(model.backend, [1, 2, 3]).add(1).exp()],
    ['what a scope gives back', () => scope('mine', () => [Tensor.from(model.backend, [1]), 2])],
    [
      'what was kept',
      () => {
        scope('mine', () => {
          keep(Tensor.from(model.backend, [1]));
        });
      },
    ],
  ])('frees %s', async (_, make) => {
    const base = counts();
    for (let i = 0; i < 20; i++) make();
    // The reference backend has its caches in arrays, which it does not count.
    if (!isReference(backend)) expect(counts()[0] + counts()[1]).toBeGreaterThan(base[0] + base[1]);
    await expectFreed(base);
  });

  it('does not grow with 200 runs whose results were dropped', async () => {
    const base = counts();
    let most = 0;
    for (let i = 0; i < 200; i++) {
      model.run([1, 2, 3], { capture: ['blocks.*.hook_resid_post'] });
      if (i % 20 === 19) await collectGarbage(() => counts()[0] === base[0]);
      most = Math.max(most, counts()[0] - base[0]);
    }
    expect(most).toBeLessThan(3 * 20); // Logits and one capture of each run since the last collection.
    await expectFreed(base);
  });

  it('frees a model with its weights', async () => {
    const base = counts();
    await (async () => {
      const forgotten = await load(modelFolder('qwen2'), { backend });
      forgotten.forward([1]).dispose();
    })();
    expect(counts()[0]).toBeGreaterThan(base[0]);
    await expectFreed(base);
  });

  it('frees an iterator with its cache and what it captured', async () => {
    const base = counts();
    await (async () => {
      await model.generate([1, 2, 3], { capture: ['blocks.*.hook_resid_post'] }).next();
    })();
    await expectFreed(base);
  });

  it('keeps what is still held', async () => {
    const run = model.run([1, 2, 3], { capture: ['hook_embed'] });
    const tensor = scope('', () => keep(Tensor.from(model.backend, [1, 2])));
    await collectGarbage();
    expect(run.acts.hook_embed.data().length).toBe(3 * model.config.dim);
    expect(run.logits.disposed).toBe(false);
    expect([...tensor.data()]).toEqual([1, 2]);
    const before = counts();
    run.dispose();
    tensor.dispose();
    expect(counts()[0]).toBe(before[0] - 3);
    await collectGarbage();
    expect(counts()[0]).toBe(before[0] - 3); // Freed once.
  });
});
