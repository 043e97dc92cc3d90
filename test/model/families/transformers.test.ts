import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { observe } from '../../../src/tensor/tap.ts';
import { liveTensors, Tensor } from '../../../src/tensor/tensor.ts';
import { BACKENDS, expectNothingLeft, isQuick } from '../../support/tested-backends.ts';
import {
  CACHE_KINDS,
  type Expected,
  expectAsTransformers,
  expectNear,
  expectSameInSteps,
  LOGITS,
  MIXTURES,
  MODELS,
  randomTokens,
  readExpected,
  readMeta,
  Runner,
} from '../../support/fixtures.ts';

const NLL = 1e-3;
const ALL = isQuick ? ['gemma2', 'deepseek_v3'] : [...MODELS, ...MIXTURES];
/** Models whose weights are stored or named otherwise than those of another one here: what they do with a cache is what that one does. */
const STORED_OTHERWISE = [
  'gemma3_text_v5',
  'gpt2_prefixed',
  'gpt_oss_mxfp4',
  'deepseek_v3_fp8',
  'deepseek_v3_fp8_aligned',
];
/** With variables of the device, only the caches are stored otherwise. */
const modelsOn = (backend: string): readonly string[] =>
  backend.includes('device') ? ALL.filter((name) => CACHE_KINDS.includes(name)) : ALL;

describe.each(BACKENDS)('%s', (backendName, create) => {
  const backend = create();

  describe.each(modelsOn(backendName))('%s', (name) => {
    let model: Runner;
    let expected: (tensor: string) => Expected;
    let vocabSize: number;
    let ids: number[];
    let hasFailed = false;

    beforeAll(async () => {
      const count = (): object => ({ tensors: liveTensors(), handles: backend.liveHandles() });
      const before = count();
      expected = await readExpected(name);
      model = await Runner.load(name, backend);
      vocabSize = model.network.config.vocabSize;
      ids = [...expected('input_ids').data];
      return () => {
        model.dispose();
        if (!hasFailed) expect(count(), 'left by the model').toEqual(before);
      };
    });
    afterEach(({ task }) => {
      hasFailed ||= task.result?.state === 'fail';
    });
    expectNothingLeft(() => backend);

    it('gives the hidden states, attention patterns, logits and perplexity of transformers', () => {
      const logits = expectAsTransformers(model, expected);
      const nll = ids
        .slice(1)
        .reduce(
          (sum, id, i) => sum + negativeLogProbability(logits.subarray(i * vocabSize, (i + 1) * vocabSize), id),
          0,
        );
      expect(Math.abs(nll - (readMeta(name).nll_sum as number))).toBeLessThan(NLL);
    });

    it('generates the greedy tokens of transformers, one by one from the cache', () => {
      const generated = [...expected('generated_ids').data];
      using cache = model.newCache();
      let row: Float32Array = model.run(ids, cache).slice(-vocabSize);
      const rows = generated.map((token) => {
        const chosen = row;
        expect(chosen.indexOf(Math.max(...chosen))).toBe(token);
        row = model.step([{ tokens: Int32Array.of(token), cache }], 'last');
        return chosen;
      });
      rows.forEach((chosen, i) => {
        const { data } = expected('generated_logits');
        expectNear(chosen, data.subarray(i * vocabSize, (i + 1) * vocabSize), LOGITS, `logits of token ${i}`);
      });
      expect(cache.length).toBe(ids.length + generated.length);
    });

    it('computes each of several sequences in one step as if it were alone', () => {
      const { shape, data } = expected('batch_ids');
      const mask = expected('batch_mask').data;
      const width = shape[1];
      const prompts = Array.from({ length: shape[0] }, (_, row) =>
        [...data].slice(row * width, (row + 1) * width).filter((_, i) => mask[row * width + i] === 1),
      );
      const caches = prompts.map(() => model.newCache());
      const sequences = prompts.map((tokens, i) => ({ tokens: Int32Array.from(tokens), cache: caches[i] }));
      expectNear(model.step(sequences, 'last'), expected('batch_logits').data, LOGITS, 'batch logits');

      // One token more each, in another order, and the rows of a sequence that joins at its beginning.
      const joining = model.newCache();
      const next = prompts.map((_, i) => ({ tokens: Int32Array.of(5 + i), cache: caches[i] })).reverse();
      const together = model.step([...next, { tokens: Int32Array.of(7, 8), cache: joining }], 'last');
      const alone = [...prompts.map((tokens, i) => [...tokens, 5 + i]).reverse(), [7, 8]].map((tokens) =>
        model.fresh(tokens).slice(-vocabSize),
      );
      // The base of dynamic scaling is that of the step, so a text run in one go is another one.
      if (name !== 'llama_rope_dynamic')
        expectNear(together, Float32Array.from(alone.flatMap((row) => [...row])), LOGITS, 'second step');
      for (const cache of [...caches, joining]) cache.dispose();
    });

    // Past max_position_embeddings, dynamic scaling rotates each step by another base, and GPT-2 has learned no more.
    const usable = (tokens: number[]): number[] =>
      name === 'llama_rope_dynamic' || name.startsWith('gpt2')
        ? tokens.slice(0, model.network.config.maxPositions)
        : tokens;

    // What an architecture does with its cache is tried on the backend whose sums are in f64; a backend, with each kind of cache.
    const hasKindOfCache = CACHE_KINDS.includes(name);
    const triesCache = hasKindOfCache || (backendName === 'reference' && !STORED_OTHERWISE.includes(name));
    if (triesCache) {
      it('gives the same logits whatever the steps that a text comes in', () => {
        const text = usable(randomTokens(70, vocabSize));
        // Single tokens where the text begins, and where rings turn and the cache grows beyond 64 slots; steps that are shorter and
        // longer than a window, into an empty cache and a full one.
        const steps = (position: number): number =>
          position < 2 ? 1 : position < 16 ? 7 : position < 57 ? 57 - position : position < 66 ? 1 : 7;
        // Rows before longrope's border were computed when the text was short, and rotated otherwise.
        const from = Number.isFinite(model.network.ropeBorder) ? model.network.ropeBorder : 0;
        expectSameInSteps(model, text, steps, { from });
      });
    }

    if (hasKindOfCache) {
      it('gives the same logits when a text longer than its caches comes in one step', () => {
        const text = usable(randomTokens(70, vocabSize));
        const from = Number.isFinite(model.network.ropeBorder) ? model.network.ropeBorder : 0;
        expectSameInSteps(model, text, 64, { from });
      });

      it('lets a fork and its original go on by themselves', () => {
        const text = usable(randomTokens(20, vocabSize));
        const half = text.length >> 1;
        const [head, one] = [text.slice(0, half), text.slice(half)];
        const other = randomTokens(one.length, vocabSize, 2);
        using cache = model.newCache();
        model.run(head, cache);
        using fork = cache.fork();
        expectNear(model.run(one, cache), model.fresh(text).slice(-one.length * vocabSize), LOGITS, 'original');
        const wanted = model.fresh([...head, ...other]).slice(-other.length * vocabSize);
        expectNear(model.run(other, fork), wanted, LOGITS, 'fork');
        expect([cache.length, fork.length]).toEqual([text.length, text.length]);
      });

      it('forgets what a truncated cache no longer holds', () => {
        const window = Math.min(...model.network.config.windows);
        const text = usable(randomTokens(Math.min(12, window), vocabSize));
        using cache = model.newCache();
        model.run(text, cache);
        for (const kept of [text.length - 1, 3, 0]) {
          cache.truncate(kept);
          const other = randomTokens(text.length - kept, vocabSize, kept + 2);
          const wanted = model.fresh([...text.slice(0, kept), ...other]).slice(-other.length * vocabSize);
          expectNear(model.run(other, cache), wanted, LOGITS, `after ${kept}`);
          cache.truncate(kept);
          if (kept > 0) model.run(text.slice(kept), cache);
        }
        expect(() => {
          cache.truncate(cache.length + 1);
        }).toThrow(/KvCache\.truncate: length must be a whole number from 0 to \d+, got/);
      });
    }

    it('taps the hooks that it lists, in that order, and being observed at every one changes no bit', () => {
      // A step that is longer than a window, and one of a single token.
      const run = (): Float32Array => model.fresh(ids.slice(0, 13), 12);
      const plain = run();
      const names = new Set<string>();
      for (const answer of [(): undefined => undefined, (value: Tensor): Tensor => value]) {
        const watched = observe([{ wants: () => true, visit: (at, value) => (names.add(at), answer(value)) }], run);
        expect(watched).toEqual(plain);
      }
      const listed = model.network.hooks.map((hook) => hook.name);
      const inExpert = (hook: string): boolean => hook.includes('.experts.'); // Idle ones come last.
      expect([...names].filter((hook) => !inExpert(hook))).toEqual(listed.filter((hook) => !inExpert(hook)));
      expect([...names].filter(inExpert).sort()).toEqual(listed.filter(inExpert).sort());
    });

    if (!triesCache) return;

    it('keeps an edit of the cached keys and values in the cache', async () => {
      const { nHeads: H, nKvHeads: K, headDim: dk, latent } = model.network.config;
      const dv = latent?.valueDim ?? dk;
      // Latent attention caches keys and values in its naive form only.
      const used = latent ? await Runner.load(name, backend, { weights: 'f32', mla: 'naive' }) : model;
      using cache = used.newCache();
      used.run(ids.slice(0, 12), cache);
      const doubled = new Map<string, Float32Array>();
      const double = (at: string, value: Tensor): Tensor => {
        doubled.set(
          at,
          value.data().map((x) => 2 * x),
        );
        return value.mul(2);
      };
      const kv = (at: string): boolean => at.startsWith('blocks.1.kv.hook_k') || at === 'blocks.1.kv.hook_v';
      // Of three tokens and of one: a ring takes these two ways.
      for (const tokens of [[20, 21, 22], [23]]) {
        observe([{ wants: kv, visit: double }], () => used.run(tokens, cache));
        const later = new Map<string, Float32Array>();
        observe(
          [
            {
              wants: (at) => kv(at) || at.endsWith('1.attn.hook_z') || at.endsWith('1.attn.hook_pattern'),
              visit: (at, value) => void later.set(at, value.data()),
            },
          ],
          () => used.run([24], cache),
        );
        const window = model.network.config.windows[1];
        const [now, t] = [cache.length, cache.length - 1];
        for (const [at, edited] of doubled) {
          const width = K * (at.endsWith('hook_v') ? dv : dk);
          const visible = Math.max(0, now - window) * width;
          expect(later.get(at)!.slice(visible, t * width), at).toEqual(edited.slice(visible, t * width));
        }
        // Attention reads what is shown: z is the mixture of the shown values by the shown pattern.
        const [pattern, values, z] = ['attn.hook_pattern', 'kv.hook_v', 'attn.hook_z'].map((at) =>
          later.get(`blocks.1.${at}`)!,
        );
        const mixed = Float32Array.from({ length: H * dv }, (_, i) => {
          const [head, column] = [Math.floor(i / dv), i % dv];
          const kvHead = Math.floor(head / (H / K));
          let sum = 0;
          for (let p = 0; p < now; p++) sum += pattern[head * now + p] * values[(p * K + kvHead) * dv + column];
          return sum;
        });
        expectNear(z, mixed, LOGITS, 'z');
      }
      if (used !== model) used.dispose();
    });

    it('mixes the values by the pattern that an edit gives', () => {
      const { nHeads: H, nKvHeads: K, headDim, latent } = model.network.config;
      const d = latent?.valueDim ?? headDim;
      const seen = new Map<string, Float32Array>();
      observe(
        [
          {
            wants: (at) => at.startsWith('blocks.0.'),
            visit: (at, value) => {
              seen.set(at, value.data());
              if (at !== 'blocks.0.attn.hook_pattern') return undefined;
              const [, T, S] = value.shape;
              return Tensor.from(
                backend,
                Float32Array.from({ length: H * T * S }, (_, i) => Number(i % S === Math.floor(i / S) % T)),
                value.shape,
              );
            },
          },
        ],
        () => model.fresh(ids),
      );
      // Each query looks at itself alone: z is its own value.
      const own = Float32Array.from({ length: ids.length * H * d }, (_, i) => {
        const [t, head, column] = [Math.floor(i / (H * d)), Math.floor(i / d) % H, i % d];
        return seen.get('blocks.0.attn.hook_v')![(t * K + Math.floor(head / (H / K))) * d + column];
      });
      // A latent becomes a value after it is mixed, or for the listener before.
      expectNear(seen.get('blocks.0.attn.hook_z')!, own, latent ? 1e-5 : 1e-6, 'z');
    });
  });
});

function negativeLogProbability(row: Float32Array, id: number): number {
  const top = Math.max(...row);
  return top - row[id] + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
}
