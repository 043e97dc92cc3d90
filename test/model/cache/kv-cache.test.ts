import { beforeAll, describe, expect, it } from 'vitest';
import { KvCache } from '../../../src/model/cache/kv-cache.ts';
import { DisposedError, VitrineError } from '../../../src/errors.ts';
import { Step } from '../../../src/model/parts/step.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { observe } from '../../../src/tensor/tap.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { BACKENDS, expectNothingLeft } from '../../support/tested-backends.ts';
import { expectNear, randomTokens, Runner } from '../../support/fixtures.ts';

const NEAR = 3e-4;
const WINDOW = 8;

describe.each(BACKENDS)('%s', (_, create) => {
  const backend = create();
  let sliding: Runner;
  let full: Runner;
  let text: number[];
  let vocabSize: number;

  beforeAll(async () => {
    sliding = await Runner.load('mistral_sliding', backend);
    full = await Runner.load('llama_gqa_tied', backend);
    vocabSize = sliding.network.config.vocabSize;
    text = randomTokens(60, vocabSize);
    return () => {
      sliding.dispose();
      full.dispose();
    };
  });
  expectNothingLeft(() => backend);

  /** Gives up in the middle of a step, after it wrote some layers. */
  const interrupt = (model: Runner, tokens: number[], cache: KvCache): void => {
    model.step([{ tokens: Int32Array.from(tokens), cache }], 'last', 1);
  };

  describe('a sliding window', () => {
    it.each([1, 3, 7, 8, 9, 20])('wraps several times in steps of %i', (chunk) => {
      expectNear(sliding.fresh(text, chunk), sliding.fresh(text), NEAR, 'logits');
    });

    it('depends on what is inside it and on nothing before', () => {
      const layers = sliding.network.config.nLayers;
      const reach = layers * (WINDOW - 1); // Tokens back that the last one can see, through all layers.
      const other = text.with(text.length - 2 - reach, 9);
      const nearer = text.with(text.length - 1 - reach, 9);
      const last = (tokens: number[]): Float32Array => sliding.fresh(tokens, 5).slice(-vocabSize);
      expect(last(other)).toEqual(last(text));
      expect(last(nearer)).not.toEqual(last(text));
    });

    it('takes no more memory than its window', () => {
      const { nKvHeads, headDim, nLayers } = sliding.network.config;
      using cache = sliding.newCache();
      sliding.run(text, cache, 7);
      expect(cache.bytes).toBe(nLayers * 2 * nKvHeads * headDim * WINDOW * 4);
    });

    it('forks after it wrapped', () => {
      using cache = sliding.newCache();
      sliding.run(text.slice(0, 30), cache, 4);
      using fork = cache.fork();
      const other = randomTokens(12, vocabSize, 5);
      const rest = (tokens: number[]): Float32Array =>
        sliding.fresh([...text.slice(0, 30), ...tokens]).slice(-tokens.length * vocabSize);
      expectNear(sliding.run(other, fork, 5), rest(other), NEAR, 'fork');
      expectNear(sliding.run(text.slice(30), cache, 11), rest(text.slice(30)), NEAR, 'original');
    });

    it('cannot be truncated to what it no longer holds, but to nothing and to its full length', () => {
      using cache = sliding.newCache();
      sliding.run(text.slice(0, 12), cache);
      for (const length of [1, 6, 11])
        expect(() => {
          cache.truncate(length);
        }).toThrow(
          new RegExp(`truncate: the sliding window keeps 8 of 12 tokens, and what position ${length} sees is gone`),
        );
      cache.truncate(12);
      expectNear(
        sliding.run([5], cache),
        sliding.fresh([...text.slice(0, 12), 5]).slice(-vocabSize),
        NEAR,
        'as before',
      );
      cache.truncate(0);
      expectNear(sliding.run(text.slice(0, 12), cache), sliding.fresh(text.slice(0, 12)), NEAR, 'from the start');
    });

    it('is not used after an interruption overwrote it', () => {
      for (const done of [6, 20]) {
        using cache = sliding.newCache();
        sliding.run(text.slice(0, done), cache);
        interrupt(sliding, text.slice(done, done + 7), cache);
        expect(cache.length).toBe(done);
        expect(() => sliding.run([5], cache)).toThrow(
          /append: a forward pass was interrupted while it overwrote the sliding window/,
        );
        expect(() => cache.fork()).toThrow(/fork: a forward pass was interrupted/);
        for (const length of [3, done])
          expect(() => {
            cache.truncate(length);
          }, `to ${length} of ${done}`).toThrow(VitrineError);
        cache.truncate(0);
        expectNear(sliding.run(text, cache, 9), sliding.fresh(text), NEAR, 'from the start');
      }
    });
  });

  it('is used by one call at a time, and given free by the one that uses it', () => {
    using cache = full.newCache();
    const layout = full.network.cacheLayout;
    const first = cache.use('one', layout);
    expect(() => cache.use('other', layout)).toThrow(/^other: one is using the cache\./);
    cache.release(first);
    const second = cache.use('two', layout);
    cache.release(first);
    expect(() => {
      cache.truncate(0);
    }).toThrow(/^KvCache\.truncate: two is using the cache\./);
    cache.release(second);
    cache.truncate(0);
    expect(() => cache.use('last', [...layout])).toThrow(/^last: the cache was made by another model/);
  });

  it("takes another cache's contents over, and leaves that one empty and of use", () => {
    using cache = full.newCache();
    using other = full.newCache();
    full.run(text.slice(0, 3), cache);
    full.run(text.slice(0, 20), other);
    cache.replaceWith(other);
    expect([cache.tokens, other.tokens]).toEqual([text.slice(0, 20), []]);
    expectNear(full.run(text.slice(20), cache), full.fresh(text).slice(20 * vocabSize), NEAR, 'going on');
    expectNear(full.run(text.slice(0, 9), other), full.fresh(text.slice(0, 9)), NEAR, 'from the start');
  });

  describe('an interrupted step', () => {
    it('leaves the tokens of before', () => {
      using cache = full.newCache();
      full.run(text.slice(0, 10), cache);
      interrupt(full, text.slice(20, 40), cache);
      expect(cache.length).toBe(10);
      expectNear(full.run(text.slice(10), cache, 13), full.fresh(text).slice(10 * vocabSize), NEAR, 'going on');
    });

    // prettier-ignore
    it.each<[string, (cache: KvCache) => KvCache]>([
      ['going on', (cache) => cache],
      ['truncating', (cache) => { cache.truncate(4); return cache; }],
      ['truncating to its length', (cache) => { cache.truncate(5); return cache; }],
      ['forking', (cache) => cache.fork()],
    ])('of bad numbers has no say after %s', (_, recover) => {
      const cache = full.newCache();
      full.run(text.slice(0, 5), cache);
      const spoil = { wants: (at: string) => at.includes('hook_write'), visit: (_: string, value: Tensor): Tensor => value.mul(NaN) };
      observe([spoil], () => { interrupt(full, text.slice(5, 20), cache); });
      const going = recover(cache);
      const { length } = going;
      expectNear(full.run([9], going), full.fresh([...text.slice(0, length), 9]).slice(-vocabSize), NEAR, 'going on');
      going.dispose();
      cache.dispose();
    });
  });

  it('a disposed cache says so', () => {
    const cache = full.newCache();
    full.run([5, 6], cache);
    cache.dispose();
    cache.dispose();
    for (const use of [
      () => full.run([5], cache),
      () => cache.fork(),
      () => {
        cache.truncate(0);
      },
    ])
      expect(use).toThrow(DisposedError);
    expect(() => cache.fork()).toThrow('KvCache.fork: the cache was disposed of. Make one with newCache().');
  });

  describe('a layer whose values are the first numbers of its keys', () => {
    const layout = { nKvHeads: 1, keyDim: 6, valueDim: 0, window: Infinity };
    const rowsOf = (from: number, count: number): Float32Array =>
      Float32Array.from({ length: count * 6 }, (_, i) => from * 6 + i);

    /** Appends rows of tokens, and gives what is then attended to, `[length, 6]`. */
    const append = (cache: KvCache, count: number): number[] => {
      const step = new Step(backend, [{ tokens: new Int32Array(count), cache }]);
      const start = cache.length;
      const seen = scope('', () => {
        const rows = Tensor.from(backend, rowsOf(start, count), [count, 1, 6]);
        const [{ keys, values }] = step.layer(0).append(rows);
        expect(values).toBe(keys);
        return [...keys.slice([0, 0, 0], [1, start + count, 6]).data()];
      });
      step.commit();
      step.dispose();
      return seen;
    };

    it('keeps them in one store', () => {
      using cache = new KvCache(backend, [layout]);
      expect(append(cache, 3)).toEqual([...rowsOf(0, 3)]);
      expect(append(cache, 1)).toEqual([...rowsOf(0, 4)]);
      expect(cache.bytes).toBe(64 * 6 * 4);
      using fork = cache.fork();
      cache.truncate(2);
      expect(append(cache, 2)).toEqual([...rowsOf(0, 4)]);
      expect(append(fork, 70)).toEqual([...rowsOf(0, 74)]);
    });
  });
});
