import { beforeAll, describe, expect, it } from 'vitest';
import { type KvCache, load, type Model } from '../../src/index.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';
import { expectNear, modelFolder, randomTokens, readExpected } from '../support/fixtures.ts';

const NEAR = 3e-4;
/** original_max_position_embeddings of the model: longer texts turn by other angles, at every position. */
const BORDER = 64;

describe.each(TESTED_BACKENDS)('longrope on %s', (backend) => {
  let model: Model;
  let expected: Awaited<ReturnType<typeof readExpected>>;
  beforeAll(async () => {
    model = await load(modelFolder('phi3_longrope_short'), { backend, weights: 'f32' });
    expected = await readExpected('phi3_longrope_short');
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);
    const last = (tokens: readonly number[], cache?: KvCache): Float32Array => {
      using logits = model.forward(tokens, { cache });
      return logits.data();
    };

    it('a text beyond the border has the logits of transformers', () => {
      using logits = model.forward([...expected('long_input_ids').data], { logits: 'all' });
      expectNear(logits.data(), expected('long_logits').data, NEAR, 'logits');
    });

    it('generates across the border what transformers does, which computes its cache anew there', async () => {
      const [prompt, wanted] = ['crossing_input_ids', 'crossing_generated_ids'].map((name) => [...expected(name).data]);
      expect(prompt.length < BORDER && prompt.length + wanted.length > BORDER).toBe(true);
      for (const capture of [undefined, ['blocks.1.hook_resid_post']]) {
        const got: number[] = [];
        for await (const { token, acts } of model.generate(prompt, {
          temperature: 0,
          maxTokens: 8,
          ignoreEos: true,
          capture,
        })) {
          got.push(token);
          // What is captured is of the new token, although those before it were computed once more.
          if (acts && got.length > 1) expect(acts['blocks.1.hook_resid_post'].shape[0]).toBe(1);
        }
        expect(got).toEqual(wanted);
      }
    });

    it('forward with a cache crosses the border, alone and in a batch, and back again', () => {
      const text = randomTokens(70, model.config.vocabSize);
      using cache = model.newCache();
      using other = model.newCache();
      model.forward(text.slice(0, 60), { cache }).dispose();
      model.forward(text.slice(0, 20), { cache: other }).dispose();
      expectNear(last(text.slice(60, 63), cache), last(text.slice(0, 63)), NEAR, 'before');
      const both = [
        { tokens: text.slice(63, 66), cache },
        { tokens: text.slice(20, 22), cache: other },
      ];
      using rows = model.forwardBatch(both);
      expectNear(
        rows.data(),
        Float32Array.from([...last(text.slice(0, 66)), ...last(text.slice(0, 22))]),
        NEAR,
        'crossing',
      );
      expect(cache.tokens).toEqual(text.slice(0, 66));
      expectNear(last(text.slice(66), cache), last(text), NEAR, 'after');
      cache.truncate(30);
      using fork = cache.fork();
      expectNear(last(text.slice(30, 40), cache), last(text.slice(0, 40)), NEAR, 'cut back');
      expectNear(last(text.slice(30, 70), fork), last(text), NEAR, 'a fork');
    });

    it('scores a long text by its own angles, also where it goes in pieces', () => {
      const text = randomTokens(200, model.config.vocabSize);
      using logits = model.forward(text, { logits: 'all' });
      const values = logits.data();
      const V = model.config.vocabSize;
      const nll = text.slice(1).reduce((sum, id, i) => {
        const row = values.subarray(i * V, (i + 1) * V);
        return sum + Math.log(row.reduce((total, x) => total + Math.exp(x), 0)) - row[id];
      }, 0);
      expect(Math.abs(model.score(text).nll - nll)).toBeLessThan(1e-2);
    });

    it('an abort while the cache is computed anew leaves the cache as it was', async () => {
      const text = randomTokens(70, model.config.vocabSize);
      using cache = model.newCache();
      model.forward(text.slice(0, 64), { cache }).dispose();
      const abort = new AbortController();
      abort.abort(new Error('enough'));
      const tokens = model.generate(text.slice(64, 66), { cache, signal: abort.signal, maxTokens: 1 });
      await expect(tokens.next()).rejects.toThrow('enough');
      expect(() =>
        model.run(text.slice(64, 66), {
          cache,
          edit: {
            'blocks.1.hook_resid_post': () => {
              throw new Error('stop');
            },
          },
        }),
      ).toThrow('stop');
      expect(cache.tokens).toEqual(text.slice(0, 64));
      cache.truncate(60);
      expectNear(last(text.slice(60, 63), cache), last(text.slice(0, 63)), NEAR, 'as before');
    });
  });
});

describe('learned positions', () => {
  it('end a text where they end', async () => {
    using model = await load(modelFolder('gpt2'), { backend: 'reference', weights: 'f32' });
    const text = randomTokens(65, model.config.vocabSize);
    expect(() => model.forward(text)).toThrow('this model has learned 64 positions, and the text would have 65 tokens');
    const tokens = [];
    for await (const token of model.generate(text.slice(0, 62), { ignoreEos: true, maxTokens: 10 })) tokens.push(token);
    // Two more fit after the first new token, which the model chose from the prompt.
    expect(tokens.map(({ finishReason }) => finishReason)).toEqual([undefined, undefined, 'length']);
  });
});
