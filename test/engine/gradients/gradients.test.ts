import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { load, liveTensors, type Model, OptionError, scope, Tensor } from '../../../src/index.ts';
import { takeGradients } from '../../../src/engine/gradients/take-gradients.ts';
import { registryOf } from '../../../src/hooks/hook-registry.ts';
import { openSafetensors } from '../../../src/loader/safetensors/open-safetensors.ts';
import { createBackend } from '../../../src/tensor/backends.ts';
import { modelFolder, randomTokens, readExpected, Runner } from '../../support/fixtures.ts';
import { random } from '../../support/f64-oracle.ts';
import { TESTED_BACKENDS } from '../../support/tested-backends.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'fixtures', 'interp', 'gradients');

interface Autograd {
  readonly a: number;
  readonly b: number;
  readonly value: number;
  /** The largest magnitude of the gradients at each site. */
  readonly largest: Readonly<Record<string, number>>;
}
const autograd = JSON.parse(readFileSync(join(FOLDER, 'meta.json'), 'utf8')) as Record<string, Autograd>;

const SITES: Readonly<Record<string, string>> = {
  resid_pre: 'blocks.*.hook_resid_pre',
  attn_out: 'blocks.*.hook_attn_out',
  mlp_out: 'blocks.*.hook_mlp_out',
  embed: 'hook_embed',
};

/** The logit of `a` less that of `b` in the last row. */
const difference =
  (a: number, b: number) =>
  (logits: Tensor): Tensor => {
    const [at] = [logits.shape[0] - 1];
    return logits.slice([at, a], [1, 1]).sub(logits.slice([at, b], [1, 1]));
  };

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), a.length === b.length ? 0 : NaN);

// On the slow backend one model of each kind.
const ON_REFERENCE = ['llama_gqa_tied', 'gemma2', 'gpt2', 'deepseek_v3', 'gpt_oss'];

describe.each(TESTED_BACKENDS)('gradients on %s', (backend) => {
  it.each(backend === 'reference' ? ON_REFERENCE : Object.keys(autograd))(
    'of a logit difference in residual streams, sub-layers and embeddings are those of PyTorch: %s',
    async (name) => {
      const { a, b, value, largest } = autograd[name];
      const file = await openSafetensors(join(FOLDER, `${name}.safetensors`));
      using model = await load(modelFolder(name), { backend, weights: 'f32' });
      const ids = [...(await readExpected(name))('input_ids').data];
      const before = liveTensors();
      const taken = model.gradients(ids, { of: difference(a, b), at: Object.values(SITES), rows: 'last' });
      expect(Math.abs(taken.value - value)).toBeLessThan(5e-4);
      for (const [site, most] of Object.entries(largest)) {
        const wanted = await file.read(site);
        const gradient = taken.grads[SITES[site]];
        expect(gradient.shape, site).toEqual(wanted.shape);
        expect(largestDifference(gradient.data(), wanted.toFloat32()), site).toBeLessThan(1e-4 * most);
      }
      taken.dispose();
      expect(liveTensors()).toBe(before);
      await file.close();
    },
  );
});

/** A hook whose numbers are ids. */
const isInteger = (name: string): boolean => /hook_tokens|indices|token_index|evict/.test(name);

describe('a gradient is how the value answers to an edit: at every hook of', () => {
  const [T, STEP] = [6, 1e-6];

  it.each([
    'llama_gqa_tied',
    'mistral_sliding',
    'gemma2',
    'olmo2',
    'gpt2',
    'gpt_neox',
    'deepseek_v2',
    'deepseek_v3',
    'deepseek_v3_fp8',
    'gpt_oss',
    'gpt_oss_mxfp4',
    'qwen3_moe',
  ])('%s', async (name) => {
    using model = await load(modelFolder(name), { backend: 'reference-f64' });
    const tokens = randomTokens(T, model.config.vocabSize);
    const of = difference(5, 9);
    const names = [...model.hookPoints.values()]
      .filter(({ name, readOnly }) => readOnly === undefined && !isInteger(name))
      .map(({ name }) => name);
    using taken = model.gradients(tokens, { of, at: names, capture: names, rows: 'last' });
    expect(Object.keys(taken.grads)).toEqual(names);
    const last = model.config.nLayers - 1;
    const tried = names.filter((hook) => !hook.startsWith('blocks.') || hook.startsWith(`blocks.${last}.`));
    for (const hook of tried) {
      const value = taken.acts[hook].data64();
      if (value.length === 0) continue; // An expert that no row chose.
      const direction = random([value.length], 5).values;
      const at = (step: number): number => {
        const factors = direction.map((d) => 1 + step * d);
        const run = model.run(tokens, {
          edit: { [hook]: (x) => x.mul(Tensor.from(x.backend, factors, x.shape)) },
          rows: 'last',
        });
        const result = scope('', () => of(run.logits).data64()[0]);
        run.dispose();
        return result;
      };
      const slope = (at(STEP) - at(-STEP)) / (2 * STEP);
      const terms = taken.grads[hook]
        .data64()
        .map((g, i) => (Number.isFinite(value[i]) ? g * value[i] * direction[i] : 0));
      const size = terms.reduce((sum, term) => sum + Math.abs(term), 0);
      const sum = terms.reduce((all, term) => all + term, 0);
      expect(Math.abs(sum - slope), hook).toBeLessThanOrEqual(1e-5 * size + 1e-9);
    }
  });
});

describe('gradients', () => {
  const TOKENS = [5, 9, 3, 200, 17];
  const of = difference(5, 9);
  const at = ['blocks.*.hook_resid_pre', 'blocks.1.attn.hook_z'];
  const loaded = (name = 'llama_gqa_tied'): Promise<Model> => load(modelFolder(name));

  it('change no bit of a later run, and leave nothing behind', async () => {
    using model = await loaded();
    const logits = (): Float32Array => {
      using run = model.run(TOKENS);
      return run.logits.data();
    };
    const before = logits();
    const [tensors, handles] = [liveTensors(), model.backend.liveHandles()];
    model.gradients(TOKENS, { of, at, capture: at }).dispose();
    expect([liveTensors(), model.backend.liveHandles()]).toEqual([tensors, handles]);
    expect(logits()).toEqual(before);
  });

  it('are the same whichever rows of logits are computed', async () => {
    using model = await loaded();
    using whole = model.gradients(TOKENS, { of, at });
    using last = model.gradients(TOKENS, { of, at, rows: 'last' });
    using chosen = model.gradients(TOKENS, { of, at, rows: [0, -1] });
    for (const name of at) {
      const most = Math.max(...whole.grads[name].data().map(Math.abs));
      for (const other of [last, chosen])
        expect(largestDifference(other.grads[name].data(), whole.grads[name].data())).toBeLessThan(2e-6 * most);
    }
    expect(() => model.gradients(TOKENS, { of, at, rows: [5] })).toThrow('gradients: row 5 is not computed');
  });

  it('are keyed as captures are, beside captures of the same pass', async () => {
    using model = await loaded();
    using run = model.run(TOKENS, { capture: at });
    using taken = model.gradients(TOKENS, { of, at, capture: at });
    expect(Object.keys(taken.grads)).toEqual(Object.keys(run.acts));
    for (const name of at) {
      expect(taken.grads[name].shape).toEqual(run.acts[name].shape);
      expect(largestDifference(taken.acts[name].data(), run.acts[name].data())).toBeLessThan(1e-5);
    }
  });

  it('are taken behind edits: a stream that an edit doubles has half the gradient before it', async () => {
    using model = await loaded();
    const edit = { 'blocks.1.hook_resid_pre': (x: Tensor) => x.mul(2) };
    const hooks = ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_pre'];
    using taken = model.gradients(TOKENS, { of, at: hooks, edit });
    const [before, after] = hooks.map((name) => taken.grads[name].data());
    expect(before).toEqual(after.map((g) => 2 * g));
    using cut = model.gradients(TOKENS, { of, at: hooks, edit: { [hooks[1]]: (x) => x.mul(2).data() } });
    expect(Math.max(...cut.grads[hooks[0]].data().map(Math.abs))).toBe(0);
    expect(cut.grads[hooks[1]].data()).toEqual(after);
  });

  it.each(['f32', 'bf16'] as const)(
    'are computed in f32 where weights are loaded to compute in %s',
    async (compute) => {
      using model = await load(modelFolder('llama_gqa_tied'), { weights: 'bf16', compute });
      using exact = model.run(TOKENS, { compute: 'f32' });
      using taken = model.gradients(TOKENS, { of, at });
      scope('', () => {
        expect(Math.abs(taken.value - of(exact.logits).data()[0])).toBeLessThan(1e-5);
      });
    },
  );

  it('go through packed weights as in f64', async () => {
    using model = await loaded('gpt_oss_mxfp4');
    using exact = await load(modelFolder('gpt_oss_mxfp4'), { backend: 'reference-f64' });
    const [taken, expected] = [model, exact].map((one) => one.gradients(TOKENS, { of, at: [at[0]] }));
    const wanted = expected.grads[at[0]].data64();
    const most = wanted.reduce((max, g) => Math.max(max, Math.abs(g)), 0);
    expect(largestDifference(taken.grads[at[0]].data64(), wanted)).toBeLessThan(1e-4 * most);
    taken.dispose();
    expected.dispose();
  });

  it.each<[string, Parameters<Model['gradients']>[1], string]>([
    ['a name that the model does not have', { of, at: ['blocks.0.hook_resid'] }, 'This model has no hook "blocks.0.hook_resid".'], // prettier-ignore
    ['a hook that is computed only for those who look', { of, at: ['blocks.1.attn.hook_entropy'] }, 'gradient of blocks.1.attn.hook_entropy: it is computed only for those who look, so that an edit would change nothing. Take blocks.1.attn.hook_pattern instead.'], // prettier-ignore
    ['integers', { of, at: ['hook_tokens'] }, 'gradient of hook_tokens: it holds whole numbers (i32), which have no gradient.'], // prettier-ignore
    ['a plain number', { of: (() => 3) as never, at }, 'gradients: expected one number in a tensor from `of`, computed from the logits by methods of tensors, got 3.'], // prettier-ignore
    ['several numbers', { of: (logits) => logits, at }, 'computed from the logits by methods of tensors, got f32 [5, 512].'], // prettier-ignore
    ['numbers that were read', { of: (logits) => Tensor.from(logits.backend, [logits.data()[0]]), at }, 'got a constant: what is read with data()'], // prettier-ignore
    ['no function', { at } as never, 'gradients: of must be a function that makes one number of the logits, got undefined.'], // prettier-ignore
    ['no hooks', { of } as never, 'gradients: at must be a list of names or globs of hooks, got undefined.'],
    ['an unknown option', { of, at, capures: [] } as never, 'gradients: there is no option "capures".'],
    ['an error of its own', { of: () => { throw new OptionError('mine'); }, at }, 'mine'], // prettier-ignore
  ])('refuse %s, and leave nothing behind', async (_, options, message) => {
    using model = await loaded();
    const [tensors, handles] = [liveTensors(), model.backend.liveHandles()];
    expect(() => model.gradients(TOKENS, options)).toThrow(message);
    expect([liveTensors(), model.backend.liveHandles()]).toEqual([tensors, handles]);
  });

  it('stop with a message where the activations that they need take the memory', async () => {
    const backend = createBackend('reference');
    const runner = await Runner.load('llama_gqa_tied', backend);
    const cache = runner.newCache();
    const { network } = runner;
    const take = (maxMemory: number): void => {
      takeGradients(
        { of, at: [at[0]] },
        { network, backend, hooks: registryOf(network.hooks), tokens: Int32Array.from(TOKENS), cache, maxMemory },
      ).dispose();
    };
    const before = [liveTensors(), backend.liveHandles()];
    expect(() => {
      take(1000);
    }).toThrow(
      /^gradients: the activations of 1 of 2 layers that they need take .* kB, and 1 kB may be taken\. Shorten/,
    );
    take(10 ** 7);
    expect([liveTensors(), backend.liveHandles()]).toEqual(before);
    cache.dispose();
    runner.dispose();
  });
});
