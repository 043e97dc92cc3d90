import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  load,
  loadSae,
  type Model,
  openSafetensors,
  type SaeEdits,
  saeFeatures,
  scope,
  Tensor,
  writeSafetensors,
} from '../../src/index.ts';
import { expectNear, modelFolder } from '../support/fixtures.ts';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'interp', 'sae', 'small');
const NAMES = [
  'standard_constant_norm',
  'gated',
  'jumprelu_z',
  'topk_plain',
  'transcoder',
  'skip_transcoder',
  'jumprelu_transcoder',
  'jumprelu_skip_transcoder',
];
const PROMPT = [5, 9, 200, 17, 42];

let model: Model;
beforeAll(async () => {
  model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', weights: 'f32' });
  return () => {
    model.dispose();
  };
});

/** What SAELens computes, by name. */
async function expectedOf(name: string): Promise<(tensor: string) => Tensor> {
  const file = await openSafetensors(join(FOLDER, `${name}.expected.safetensors`));
  const tensors = new Map<string, Tensor>();
  for (const key of file.tensors.keys()) {
    const stored = await file.read(key);
    tensors.set(key, Tensor.from(model.backend, stored.toFloat32(), stored.shape));
  }
  await file.close();
  return (key) => tensors.get(key)!;
}

/** The stored tensors of an autoencoder, to be written again. */
async function stored(name: string) {
  const file = await openSafetensors(join(FOLDER, name, 'sae_weights.safetensors'));
  const tensors: Record<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }> = {};
  for (const key of file.tensors.keys()) {
    const tensor = await file.read(key);
    tensors[key] = { dtype: 'F32', shape: tensor.shape, data: tensor.toFloat32() };
  }
  await file.close();
  return tensors;
}

/** Rows within 1e-5 of their largest number. */
function expectRows(actual: Tensor, expected: Tensor, what: string): void {
  expect(actual.shape, what).toEqual(expected.shape);
  const [rows] = expected.shape;
  const [got, wanted] = [actual.data(), expected.data()];
  const width = wanted.length / rows;
  for (let row = 0; row < rows; row++) {
    const own = wanted.subarray(row * width, (row + 1) * width);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expectNear(got.subarray(row * width, (row + 1) * width), own, 1e-5 * largest, `${what}, row ${row}`);
  }
}

/** A folder with a copy of an autoencoder, whose config and tensors are changed. */
async function changed(
  name: string,
  {
    config = (cfg) => cfg,
    tensors,
  }: {
    config?: (cfg: Record<string, unknown>) => Record<string, unknown>;
    tensors?: Record<string, readonly number[]>;
  },
): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'vitrine-sae-'));
  const cfg = JSON.parse(await readFile(join(FOLDER, name, 'cfg.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(folder, 'cfg.json'), JSON.stringify(config(cfg)));
  const weights = join(folder, 'sae_weights.safetensors');
  if (tensors === undefined) await copyFile(join(FOLDER, name, 'sae_weights.safetensors'), weights);
  else
    await writeSafetensors(
      weights,
      Object.entries(tensors).map(
        ([key, shape]) =>
          [key, { dtype: 'F32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }] as const,
      ),
    );
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

describe('an autoencoder of SAELens', () => {
  it.each(NAMES)('%s has the features and the reconstruction that SAELens computes', async (name) => {
    const expected = await expectedOf(name);
    using sae = await loadSae(model, join(FOLDER, name));
    const x = expected('x');
    const features = sae.encode(x);
    expectRows(features, expected('features'), 'features');
    expectRows(sae.decode(features, x), expected('reconstruction'), 'reconstruction');
  });
});

/** The flat config of before version 6. */
const flat = (cfg: Record<string, unknown>): Record<string, unknown> => {
  const { metadata, architecture, k, reshape_activations: _, ...rest } = cfg;
  const { hook_name, context_size } = metadata as Record<string, unknown>;
  return {
    ...rest,
    hook_point: hook_name,
    hook_point_head_index: null,
    context_size,
    finetuning_scaling_factor: false,
    ...(architecture === 'topk'
      ? { architecture: 'standard', activation_fn_str: 'topk', activation_fn_kwargs: { k } }
      : { architecture, activation_fn_str: 'relu', activation_fn_kwargs: {} }),
  };
};

describe('a config of before version 6', () => {
  it.each(['standard_constant_norm', 'gated', 'jumprelu_z', 'topk_plain'])(
    '%s means the same in the flat form',
    async (name) => {
      await using old = await changed(name, { config: flat });
      using sae = await loadSae(model, old.folder);
      using now = await loadSae(model, join(FOLDER, name));
      expect(sae.config).toEqual(now.config);
      expect(sae.hook).toBe(now.hook);
    },
  );

  it('takes a missing architecture, normalisation and use of b_dec for standard, none and true', async () => {
    const config = (cfg: Record<string, unknown>): Record<string, unknown> => {
      const { architecture: _a, normalize_activations: _n, apply_b_dec_to_input: _b, ...rest } = flat(cfg);
      return rest;
    };
    await using old = await changed('standard_constant_norm', { config });
    using sae = await loadSae(model, old.folder);
    expect(sae.config).toMatchObject({
      architecture: 'standard',
      normalizeActivations: 'none',
      applyBDecToInput: true,
      reshapeActivations: 'none',
    });
  });

  it('takes normalize_activations true for factors that are folded into the weights', async () => {
    await using old = await changed('topk_plain', { config: (cfg) => ({ ...flat(cfg), normalize_activations: true }) });
    using sae = await loadSae(model, old.folder);
    expect(sae.config).toMatchObject({ architecture: 'topk', k: 5, normalizeActivations: 'none' });
  });
});

it('reads the logarithm of thresholds, as older checkpoints store them', async () => {
  const { W_enc, W_dec, b_enc, b_dec } = await stored('jumprelu_z');
  await using old = await changed('jumprelu_z', {});
  await writeSafetensors(join(old.folder, 'sae_weights.safetensors'), {
    W_enc,
    W_dec,
    b_enc,
    b_dec,
    log_threshold: { dtype: 'F32', shape: [48], data: new Float32Array(48).fill(Math.log(0.25)) },
  });
  using sae = await loadSae(model, old.folder);
  expect(sae.weights.threshold!.data()[7]).toBeCloseTo(0.25, 6);
});

describe('what does not fit', () => {
  const standard = { W_enc: [64, 48], b_enc: [48], W_dec: [48, 64], b_dec: [64] };
  it.each([
    [
      'a missing field',
      { config: (cfg) => ({ ...cfg, d_in: null }) },
      'cfg.json: d_in must be a whole number from 1, got null',
    ],
    [
      'an unknown architecture',
      { config: (cfg) => ({ ...cfg, architecture: 'temporal' }) },
      'cfg.json: architecture must be "standard", ',
    ],
    [
      'a negative size',
      { config: (cfg) => ({ ...cfg, d_sae: -3 }) },
      'cfg.json: d_sae must be a whole number from 1, got -3',
    ],
    [
      'a word for a flag',
      { config: (cfg) => ({ ...cfg, apply_b_dec_to_input: 'yes' }) },
      'cfg.json: apply_b_dec_to_input must be true or false, got "yes"',
    ],
    [
      'an unknown normalisation',
      { config: (cfg) => ({ ...cfg, normalize_activations: 'batch' }) },
      'cfg.json: normalize_activations must be "none", ',
    ],
    [
      'one head of several',
      { config: (cfg) => ({ ...cfg, metadata: { ...(cfg.metadata as object), hook_head_index: 3 } }) },
      'cfg.json: hook_head_index must be null, got 3',
    ],
    [
      'a scale that is not there',
      { config: (cfg) => ({ ...flat(cfg), finetuning_scaling_factor: true }) },
      'finetuning_scaling_factor must be false, got true',
    ],
    [
      'another activation',
      { config: (cfg) => ({ ...flat(cfg), activation_fn_str: 'tanh-relu' }) },
      'activation_fn must be "relu" or "topk", got "tanh-relu"',
    ],
    [
      'a hook that the model lacks',
      {
        config: (cfg) => ({ ...cfg, metadata: { ...(cfg.metadata as object), hook_name: 'blocks.9.hook_resid_pre' } }),
      },
      'cfg.json: hook_name: the model has no hook "blocks.9.hook_resid_pre". Nearest: ',
    ],
    [
      'no hook',
      { config: (cfg) => ({ ...cfg, metadata: { sae_lens_version: '6.0.0' } }) },
      'cfg.json: expected hook_name, found none',
    ],
    [
      'a missing tensor',
      { tensors: { W_enc: [64, 48], b_enc: [48], b_dec: [64] } },
      'sae_weights.safetensors: W_dec: expected [48, 64], which the file lacks',
    ],
    [
      'a transposed tensor',
      { tensors: { ...standard, W_enc: [48, 64] } },
      'sae_weights.safetensors: W_enc: expected [64, 48], the file has [48, 64]',
    ],
    [
      'an unknown tensor',
      { tensors: { ...standard, W_other: [4] } },
      'sae_weights.safetensors: "W_other" is no tensor of a standard autoencoder',
    ],
  ] as [string, Parameters<typeof changed>[1], string][])(
    '%s is refused, with file and field',
    async (_, change, message) => {
      await using broken = await changed('standard_constant_norm', change);
      await expect(loadSae(model, broken.folder)).rejects.toThrow(message);
    },
  );

  it('k beyond the number of features is refused', async () => {
    await using broken = await changed('topk_plain', { config: (cfg) => ({ ...cfg, k: 49 }) });
    await expect(loadSae(model, broken.folder)).rejects.toThrow(
      'cfg.json: k must be a whole number from 1 to 48, got 49',
    );
  });

  it('a folder without the files, and weights that end early, are refused by the path of the file', async () => {
    await using folder = await changed('gated', {});
    await writeFile(join(folder.folder, 'sae_weights.safetensors'), new Uint8Array(40));
    await expect(loadSae(model, folder.folder)).rejects.toThrow('sae_weights.safetensors');
    await rm(join(folder.folder, 'sae_weights.safetensors'));
    await expect(loadSae(model, folder.folder)).rejects.toThrow('sae_weights.safetensors');
    await writeFile(join(folder.folder, 'cfg.json'), '{"d_in": 64,');
    await expect(loadSae(model, folder.folder)).rejects.toThrow('cfg.json: expected JSON in UTF-8: line 1');
    await rm(join(folder.folder, 'cfg.json'));
    await expect(loadSae(model, folder.folder)).rejects.toThrow('cfg.json');
  });

  it('another hook can be named; activations of another width are refused with the hook that is read', async () => {
    using sae = await loadSae(model, join(FOLDER, 'gated'), { hook: 'blocks.0.hook_resid_post' });
    expect(sae.hook).toBe('blocks.0.hook_resid_post');
    using x = Tensor.from(model.backend, new Float32Array(64), [2, 32]);
    expect(() => sae.encode(x)).toThrow(
      'expected activations [..., 64], got [2, 32]. The autoencoder reads blocks.0.hook_resid_post.',
    );
  });

  it('what has to be undone with the input asks for the input', async () => {
    using normalised = await loadSae(model, join(FOLDER, 'standard_constant_norm'));
    using skipping = await loadSae(model, join(FOLDER, 'skip_transcoder'));
    using features = Tensor.from(model.backend, new Float32Array(48), [1, 48]);
    expect(() => normalised.decode(features)).toThrow('undoes constant_norm_rescale of its input');
    expect(() => skipping.decode(features)).toThrow('adds its input to the result');
  });
});

describe('attached to a model', () => {
  const logitsOf = (edit?: SaeEdits): Float32Array => {
    using run = model.run(PROMPT, edit === undefined ? {} : { edit });
    return run.logits.data();
  };

  it.each(['gated', 'jumprelu_z', 'topk_plain'])(
    '%s: features are those of the activation at its hook',
    async (name) => {
      using sae = await loadSae(model, join(FOLDER, name));
      using run = model.run(PROMPT, { capture: [sae.hook] });
      using features = saeFeatures(model, PROMPT, sae);
      using byHand = sae.encode(run.acts[sae.hook]);
      expect(features.data()).toEqual(byHand.data());
      expect(features.shape).toEqual([PROMPT.length, 48]);
    },
  );

  it.each(['gated', 'jumprelu_z', 'topk_plain', 'standard_constant_norm'])(
    '%s: splicing puts the reconstruction in the place of the activation',
    async (name) => {
      using sae = await loadSae(model, join(FOLDER, name));
      const byHand = logitsOf({ [sae.hook]: (x) => scope('', () => sae.decode(sae.encode(x), x)) });
      expect(logitsOf(sae.splice())).toEqual(byHand);
      expect(byHand).not.toEqual(logitsOf());
    },
  );

  it.each(['gated', 'jumprelu_z', 'topk_plain', 'standard_constant_norm'])(
    '%s: an edited feature moves the activation by what it decodes to, and the error stays',
    async (name) => {
      using sae = await loadSae(model, join(FOLDER, name));
      using features = saeFeatures(model, PROMPT, sae);
      const active = features.data().findIndex((value) => value > 0) % 48;
      const byHand = logitsOf({
        [sae.hook]: (x) =>
          scope('', () => {
            const all = sae.encode(x);
            const without = all.data().map((value, i) => (i % 48 === active ? 0 : value));
            const kept = Tensor.from(x.backend, without, all.shape);
            return x.add(sae.decode(kept, x)).sub(sae.decode(all, x));
          }),
      });
      expectNear(logitsOf(sae.ablate(active)), byHand, 1e-5, 'ablated');
      expect(byHand).not.toEqual(logitsOf());
      expectNear(logitsOf(sae.edit((all) => all)), logitsOf(), 1e-6, 'unchanged');
      const there = logitsOf(sae.edit((all) => all.add(all)));
      expectNear(logitsOf(sae.edit((all) => all.mul(2))), there, 1e-6, 'twice');
      const steered = logitsOf(sae.steer(active, 3));
      const added = new Float32Array(48);
      added[active] = 3;
      expectNear(logitsOf(sae.edit((all) => all.add(Tensor.from(all.backend, added)))), steered, 1e-6, 'steered');
    },
  );

  it('a transcoder reads one hook and acts at another, also for several sequences in a pass', async () => {
    using sae = await loadSae(model, join(FOLDER, 'jumprelu_skip_transcoder'));
    expect([sae.hook, sae.hookOut]).toEqual(['blocks.1.ln2.hook_normalized', 'blocks.1.hook_mlp_out']);
    const prompts = [PROMPT, PROMPT.slice(0, 3).reverse()];
    const byHand = prompts.map((prompt) => {
      using before = model.run(prompt, { capture: [sae.hook] });
      const x = before.acts[sae.hook];
      using run = model.run(prompt, { edit: { [sae.hookOut]: () => scope('', () => sae.decode(sae.encode(x), x)) } });
      return run.logits.data();
    });
    expect(logitsOf(sae.splice())).toEqual(byHand[0]);
    const runs = model.runBatch(prompts, { edit: sae.splice() });
    runs.forEach((run, i) => {
      expectNear(run.logits.data(), byHand[i], 1e-5, `sequence ${i}`);
      run.dispose();
    });
  });

  it("a transcoder's feature is ablated by taking its direction out of the output", async () => {
    using sae = await loadSae(model, join(FOLDER, 'jumprelu_transcoder'));
    using features = saeFeatures(model, PROMPT, sae);
    const values = features.data();
    const active = values.findIndex((value) => value > 0) % 48;
    const direction = sae.weights.W_dec.data().subarray(active * 64, (active + 1) * 64);
    const byHand = logitsOf({
      [sae.hookOut]: (y) =>
        y.data().map((value, i) => value - values[Math.floor(i / 64) * 48 + active] * direction[i % 64]),
    });
    expectNear(logitsOf(sae.ablate(active)), byHand, 1e-5, 'ablated');
    expect(byHand).not.toEqual(logitsOf());
  });

  it('an index that is no feature is refused', async () => {
    using sae = await loadSae(model, join(FOLDER, 'gated'));
    expect(() => sae.ablate(48)).toThrow('ablate: a feature must be a whole number from 0 to 47, got 48.');
    expect(() => sae.steer(0, NaN)).toThrow('steer: the amount must be a finite number, got NaN.');
  });
});
