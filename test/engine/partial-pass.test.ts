import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model, Tensor } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);
const FAMILIES = ['llama_gqa_tied', 'mistral_sliding', 'gemma2', 'gpt2', 'gpt_neox', 'gpt_oss', 'deepseek_v3'];

const largest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);

describe.each(TESTED_BACKENDS)('a partial pass on %s', (backend) => {
  describe.each(FAMILIES)('of %s', (name) => {
    let model: Model;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend });
      return () => {
        model.dispose();
      };
    });

    describe('with a model', () => {
      expectNothingLeft(() => model.backend);

      it('gives the whole pass where it starts at a layer from that residual stream', () => {
        using whole = model.run(TOKENS, { capture: ['blocks.1.hook_resid_pre', 'blocks.1.hook_resid_post'] });
        const residual = whole.acts['blocks.1.hook_resid_pre'];
        using part = model.run(TOKENS, { from: { layer: 1, residual }, capture: ['blocks.1.hook_resid_post'] });
        const post = 'blocks.1.hook_resid_post';
        expect(largest(part.acts[post].data(), whole.acts[post].data())).toBeLessThan(1e-5);
        expect(largest(part.logits.data(), whole.logits.data())).toBeLessThan(1e-4);
      });

      it('stops at a hook, whose value and those before are the same bit for bit', () => {
        const capture = ['hook_embed', 'blocks.0.attn.hook_out', 'blocks.1.hook_resid_pre'];
        using whole = model.run(TOKENS, { capture });
        using part = model.run(TOKENS, { capture, until: 'blocks.1.hook_resid_pre' });
        for (const hook of capture) expect(part.acts[hook].data(), hook).toEqual(whole.acts[hook].data());
        expect(() => part.logits).toThrow(/stopped at blocks.1.hook_resid_pre, so that there are no logits/);
      });

      it('computes the asked rows of logits only', () => {
        using whole = model.run(TOKENS);
        using part = model.run(TOKENS, { rows: [2, -1] });
        const V = model.config.vocabSize;
        expect(part.logits.shape).toEqual([2, V]);
        const expected = whole.logits.data();
        const rows = Float32Array.from([...expected.subarray(2 * V, 3 * V), ...expected.subarray(11 * V)]);
        expect(largest(part.logits.data(), rows)).toBeLessThan(1e-4);
        using last = model.run(TOKENS, { rows: 'last' });
        expect(last.logits.shape).toEqual([1, V]);
      });

      it('gives the logits of the last residual stream bit for bit by unembed', () => {
        const hook = `blocks.${model.config.nLayers - 1}.hook_resid_post`;
        using whole = model.run(TOKENS, { capture: [hook] });
        using logits = model.unembed(whole.acts[hook]);
        expect(logits.data()).toEqual(whole.logits.data());
        const stacked = [...whole.acts[hook].data(), ...whole.acts[hook].data()];
        using twice = Tensor.from(model.backend, Float32Array.from(stacked), [2, TOKENS.length, model.config.dim]);
        using both = model.unembed(twice);
        expect(both.shape).toEqual([2, TOKENS.length, model.config.vocabSize]);
        expect(both.data().subarray(whole.logits.data().length)).toEqual(whole.logits.data());
      });

      it('gives the residual stream before the first layer by embed', () => {
        using whole = model.run(TOKENS, { capture: ['blocks.0.hook_resid_pre'] });
        using embedded = model.embed(TOKENS);
        expect(embedded.data()).toEqual(whole.acts['blocks.0.hook_resid_pre'].data());
      });
    });
  });

  describe.each(FAMILIES.filter((name) => name !== 'mistral_sliding'))('of %s, which caches all keys', (name) => {
    let model: Model;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend });
      return () => {
        model.dispose();
      };
    });

    it('computes the last rows only, with keys and values of those before from a cache, which it leaves as it is', () => {
      const prompt = TOKENS.slice(0, 4); // Shorter than every window.
      using cache = model.newCache();
      using whole = model.run(prompt, { cache, capture: ['blocks.1.hook_resid_pre'] });
      const stream = whole.acts['blocks.1.hook_resid_pre'];
      using residual = stream.slice([2, 0], [-1, -1]);
      using part = model.run(prompt, { from: { layer: 1, residual, cache } });
      const V = model.config.vocabSize;
      expect(part.logits.shape).toEqual([2, V]);
      expect(largest(part.logits.data(), whole.logits.data().subarray(2 * V))).toBeLessThan(1e-4);
      expect(cache.tokens).toEqual(prompt);
      using again = model.run(prompt, { from: { layer: 1, residual, cache } });
      expect(again.logits.data()).toEqual(part.logits.data());
    });
  });
});

describe('a partial pass', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it('refuses hooks that it does not reach, and says why', () => {
      expect(() => model.run(TOKENS, { capture: ['hook_logits'], until: 'blocks.0.hook_resid_post' })).toThrow(
        '"hook_logits": the pass stops at blocks.0.hook_resid_post, and does not reach hook_logits.',
      );
      using residual = Tensor.from(model.backend, new Float32Array(12 * model.config.dim), [12, model.config.dim]);
      const from = { layer: 1, residual };
      expect(() => model.run(TOKENS, { from, edit: { 'blocks.*.hook_resid_pre': (x) => x.mul(2) } })).toThrow(
        '"blocks.*.hook_resid_pre": the pass starts at layer 1, and does not reach blocks.0.hook_resid_pre.',
      );
      // @ts-expect-error: there is no such hook
      expect(() => model.run(TOKENS, { until: 'blocks.0.hook_resid_pots' })).toThrow(
        /Nearest: blocks.0.hook_resid_post/,
      );
    });

    it('refuses a residual stream, rows and caches that do not fit', () => {
      const D = model.config.dim;
      using narrow = Tensor.from(model.backend, new Float32Array(12), [12, 1]);
      expect(() => model.run(TOKENS, { from: { layer: 1, residual: narrow } })).toThrow(
        `run: from.residual must be f32 [rows, ${D}] with 1 to 12 rows`,
      );
      using short = Tensor.from(model.backend, new Float32Array(3 * D), [3, D]);
      expect(() => model.run(TOKENS, { from: { layer: 1, residual: short } })).toThrow(
        'run: from.residual has 3 of 12 rows: expected a from.cache that holds the first 9 tokens of the prompt.',
      );
      expect(() => model.run(TOKENS, { rows: [12] })).toThrow('run: row 12 is not computed: expected one from 0 to 11');
      expect(() => model.run(TOKENS, { from: { layer: model.config.nLayers, residual: short } })).toThrow(
        /from.layer must be a whole number from 0 to/,
      );
      expect(() => model.unembed(narrow)).toThrow(
        `unembed: expected a residual stream f32 [..., ${D}], got f32 [12, 1].`,
      );
    });

    it('only reads a cache where it stops before the end', () => {
      using cache = model.newCache();
      model.run(TOKENS.slice(0, 5), { cache }).dispose();
      using whole = model.run(TOKENS, { capture: ['blocks.0.attn.hook_out'] });
      using part = model.run(TOKENS.slice(5), {
        cache,
        capture: ['blocks.0.attn.hook_out'],
        until: 'blocks.0.attn.hook_out',
      });
      const expected = whole.acts['blocks.0.attn.hook_out'].data().subarray(5 * model.config.dim);
      expect(largest(part.acts['blocks.0.attn.hook_out'].data(), expected)).toBeLessThan(1e-5);
      expect(cache.length).toBe(5);
    });
  });
});
