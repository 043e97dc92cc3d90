import { beforeAll, describe, expect, it } from 'vitest';
import { type GenerateOptions, KvCache, liveTensors, load, type Model } from '../../src/index.ts';
import { DisposedError } from '../../src/errors.ts';
import { isReference } from '../../src/tensor/backends.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';
import { collectGarbage } from '../support/garbage.ts';
import { modelFolder } from '../support/fixtures.ts';

const GREEDY: GenerateOptions = { temperature: 0, repetitionPenalty: 1, ignoreEos: true, maxTokens: 8 };

describe.each(TESTED_BACKENDS)('a cache in use on %s', (backend) => {
  /** Several chunks; the reference backend takes seconds for one. */
  const LONG = Array.from({ length: isReference(backend) ? 530 : 1500 }, (_, i) => i % 500);
  const ROUNDS = isReference(backend) ? 3 : 12;
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    const ids = async (prompt: number[], cache: KvCache): Promise<number[]> => {
      const found: number[] = [];
      for await (const { token } of model.generate(prompt, { ...GREEDY, cache })) found.push(token);
      return found;
    };
    /** An iterator that has given its first token. */
    const begun = async (cache: KvCache) => {
      const tokens = model.generate([1, 2, 3], { ...GREEDY, cache });
      await tokens.next();
      return tokens;
    };

    it('refuses a second call, and both go on by forks as alone', async () => {
      using cache = model.newCache();
      model.forward([1, 2, 3, 4], { cache }).dispose();
      using a = cache.fork();
      using b = cache.fork();
      using alone = cache.fork();
      const [first, second] = await Promise.all([ids([40, 50, 60], a), ids([7, 7, 7], b)]);
      expect(await ids([40, 50, 60], alone)).toEqual(first);
      const both = await Promise.allSettled([ids([40, 50, 60], cache), ids([7, 7, 7], cache)]);
      expect(both[0]).toEqual({ status: 'fulfilled', value: first });
      expect(both[1]).toMatchObject({ status: 'rejected' });
      expect((both[1] as PromiseRejectedResult).reason).toMatchObject({
        message: expect.stringMatching(/^generate: generate is using the cache\. .* cache\.fork\(\)\.$/) as string,
      });
      expect(cache.tokens).toEqual(a.tokens);
      expect(second.length).toBe(8);
    });

    it('refuses every use between tokens but a fork, which goes on by itself', async () => {
      using cache = model.newCache();
      using other = model.newCache();
      const tokens = model.generate([1, 2, 3], { ...GREEDY, cache });
      const seen: number[] = [];
      let forked: number[] = [];
      for await (const { token } of tokens) {
        seen.push(token);
        const uses: [string, () => unknown][] = [
          ['forward', () => model.forward([5], { cache })],
          ['run', () => model.run([5], { cache })],
          [
            'forwardBatch',
            () =>
              model.forwardBatch([
                { tokens: [5], cache: other },
                { tokens: [5], cache },
              ]),
          ],
          [
            'KvCache.truncate',
            () => {
              cache.truncate(0);
            },
          ],
        ];
        for (const [call, use] of uses) expect(use, call).toThrow(`${call}: generate is using the cache.`);
        if (seen.length === 3) {
          using fork = cache.fork();
          forked = await ids([token], fork);
        }
      }
      expect(forked.slice(0, 5)).toEqual(seen.slice(3));
      expect(other.length).toBe(0);
      using fresh = model.newCache();
      expect(await ids([1, 2, 3], fresh)).toEqual(seen);
    });

    it('refuses an edit that uses the cache of its own pass', () => {
      using cache = model.newCache();
      const edit = { hook_embed: () => model.forward([1], { cache }) };
      expect(() => model.run([1, 2], { cache, edit })).toThrow('forward: run is using the cache.');
      model.run([1, 2], { cache }).dispose();
    });

    it.each<[string, (tokens: Awaited<ReturnType<typeof begun>>, cache: KvCache) => Promise<unknown>]>([
      ['return', (tokens) => tokens.return()],
      ['throw', (tokens) => tokens.throw(new Error('mine')).catch(() => undefined)],
      [
        'a second call that was refused, and return',
        async (tokens, cache) => {
          await expect(ids([5], cache)).rejects.toThrow('using the cache');
          await expect(ids([5], cache)).rejects.toThrow('using the cache');
          await tokens.return();
        },
      ],
    ])('is free again after %s', async (_, end) => {
      using cache = model.newCache();
      await end(await begun(cache), cache);
      expect(cache.tokens).toEqual([1, 2, 3]);
      model.forward([5], { cache }).dispose();
      cache.truncate(1);
    });

    it('is free again when its iterator was forgotten', async () => {
      using cache = model.newCache();
      await begun(cache);
      await collectGarbage();
      model.forward([5], { cache }).dispose();
      expect(cache.tokens).toEqual([1, 2, 3, 5]);
    });

    it('holds what it held before where an abort came at any layer of the prompt', async () => {
      using cache = model.newCache();
      model.forward([9, 8, 7], { cache }).dispose();
      const row = (): Float32Array => {
        using fork = cache.fork();
        using logits = model.forward([5], { cache: fork });
        return logits.data();
      };
      const before = row();
      const { nLayers } = model.config;
      for (let at = 0; at < nLayers; at++) {
        const controller = new AbortController();
        let heard = 0;
        /** Takes so long that the event loop gets its turn after the layer. */
        const visit = (): undefined => {
          if (heard++ === at) controller.abort(new Error(`at ${at}`));
          for (const end = performance.now() + 12; performance.now() < end;);
        };
        const options = { ...GREEDY, cache, edit: { 'blocks.*.hook_resid_pre': visit }, signal: controller.signal };
        await expect(model.generate([1, 2, 3, 4], options).next()).rejects.toThrow(`at ${at}`);
        expect(heard).toBe(at + 1);
        expect(cache.tokens).toEqual([9, 8, 7]);
      }
      expect(row()).toEqual(before);
    });

    it('holds what it held before where an abort came in a later chunk of the prompt', async () => {
      using cache = model.newCache();
      model.forward([9, 8, 7], { cache }).dispose();
      const seen = new Set<number>();
      for (let turns = 0; turns < ROUNDS; turns++) {
        const controller = new AbortController();
        const tokens = model.generate(LONG, { ...GREEDY, cache, signal: controller.signal });
        const first = tokens.next();
        const ended = first.then(
          () => true,
          () => false,
        );
        for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
        seen.add(cache.length);
        controller.abort();
        const came = await ended;
        await tokens.return();
        if (came) cache.truncate(3);
        expect(cache.tokens).toEqual([9, 8, 7]);
      }
      if (!isReference(backend)) expect([...seen]).toContain(3 + 512); // One chunk was in the cache already.
    });

    it('that is disposed of during a prompt ends the call, and leaves nothing', async () => {
      const base = [liveTensors(), model.backend.liveHandles()];
      const errors = new Set<string>();
      for (let wait = 0; wait < ROUNDS; wait++) {
        const cache = model.newCache();
        const first = model.generate(LONG, { ...GREEDY, cache }).next();
        for (let i = 0; i < wait; i++) await new Promise((resolve) => setImmediate(resolve));
        cache.dispose();
        await first.catch((error: unknown) => errors.add((error as Error).name));
        expect([liveTensors(), model.backend.liveHandles()], `after ${wait}`).toEqual(base);
      }
      expect([...errors]).toEqual(['DisposedError']);
    });

    it.each([0, 1])('that an edit disposes of in the middle of layer %i ends the call, and leaves nothing', (layer) => {
      const cache = model.newCache();
      model.forward([1, 2], { cache }).dispose();
      const edit = {
        [`blocks.${layer}.attn.hook_q`]: () => {
          cache.dispose();
          return undefined;
        },
      };
      expect(() => model.run([3, 4], { cache, edit })).toThrow(DisposedError);
      expect(() => model.forward([3], { cache })).toThrow(DisposedError);
    });

    it('of another model is refused', async () => {
      using other = await load(modelFolder('llama_gqa_tied'), { backend });
      using cache = other.newCache();
      expect(() => model.forward([1], { cache })).toThrow(/^forward: the cache was made by another model/);
      await expect(ids([1], cache)).rejects.toThrow(/^generate: the cache was made by another model/);
      expect(cache.length).toBe(0);
      other.forward([1], { cache }).dispose();
    });
  });

  it('a model that is disposed of while it generates says so, and leaves nothing', async () => {
    const base = [liveTensors(), model.backend.liveHandles()];
    for (const wait of ['prompt', 'between tokens']) {
      const doomed = await load(modelFolder('llama_gqa_tied'), { backend });
      const tokens = doomed.generate(wait === 'prompt' ? LONG : [1, 2], GREEDY);
      const first = tokens.next();
      if (wait !== 'prompt') await first;
      doomed.dispose();
      const next = wait === 'prompt' ? first : tokens.next();
      await expect(next).rejects.toThrow(/the model was disposed of/);
      expect([liveTensors(), model.backend.liveHandles()], wait).toEqual(base);
    }
  });
});
