import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  load,
  loadSae,
  type Model,
  openSafetensors,
  type RunOptions,
  saeFeatures,
  steering,
  steeringVector,
} from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';
import { expectNear } from '../support/fixtures.ts';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'interp');

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(FOLDER, path), 'utf8'));

/** The tensors of a file, as f32. */
async function readTensors(path: string): Promise<Record<string, Float32Array>> {
  const file = await openSafetensors(join(FOLDER, path));
  const tensors: Record<string, Float32Array> = {};
  for (const name of file.tensors.keys()) tensors[name] = (await file.read(name)).toFloat32();
  await file.close();
  return tensors;
}

/** Holds rows of `width` numbers to 1e-5 of the row's largest. */
function expectRows(actual: Float32Array, expected: Float32Array, width: number, what: string): void {
  expect(actual.length, what).toBe(expected.length);
  for (let start = 0; start < expected.length; start += width) {
    const own = expected.subarray(start, start + width);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expectNear(actual.subarray(start, start + width), own, 1e-5 * largest + 1e-30, `${what}, row ${start / width}`);
  }
}

let model: Model;
beforeAll(async () => {
  model = await load(convertedModelFolder(), { backend: 'tensorflow', weights: 'f32' });
  return () => {
    model.dispose();
  };
});

const lastLogits = (prompt: string, options: RunOptions = {}): Float32Array => {
  using run = model.run(prompt, { rows: 'last', ...options });
  return run.logits.data();
};

describe.each(['standard', 'jumprelu', 'topk'])('a %s autoencoder on SmolLM2', (name) => {
  const expected = readJson(`sae/smollm2/${name}.expected.json`) as {
    prompt: string;
    hook: string;
    answer_id: number;
    wrong_id: number;
    difference: number;
    spliced_difference: number;
  };
  const differenceOf = (options: RunOptions): number => {
    const logits = lastLogits(expected.prompt, options);
    return logits[expected.answer_id] - logits[expected.wrong_id];
  };

  it('has the features, the reconstruction and the logit differences that PyTorch computes', async () => {
    const tensors = await readTensors(`sae/smollm2/${name}.expected.safetensors`);
    using sae = await loadSae(model, join(FOLDER, 'sae', 'smollm2', name));
    expect(sae.hook).toBe(expected.hook);
    expect(model.tokenizer.encode(expected.prompt)).toEqual([...tensors.input_ids]);

    using run = model.run(expected.prompt, { capture: [sae.hook], until: sae.hook });
    const x = run.acts[sae.hook];
    using features = saeFeatures(model, expected.prompt, sae);
    using reconstruction = sae.decode(features, x);
    expectRows(features.data(), tensors.features, sae.config.dSae, 'features');
    expectRows(reconstruction.data(), tensors.reconstruction, sae.config.dIn, 'reconstruction');

    expect(Math.abs(differenceOf({}) - expected.difference)).toBeLessThan(2e-3);
    expect(Math.abs(differenceOf({ edit: sae.splice() }) - expected.spliced_difference)).toBeLessThan(2e-3);
    tensors.ablated_features.forEach((feature, i) => {
      const after = differenceOf({ edit: sae.ablate(feature) });
      expect(Math.abs(after - tensors.ablated_difference[i]), `without feature ${feature}`).toBeLessThan(2e-3);
    });
  });
});

it('steers SmolLM2 by the vector and to the logits that PyTorch computes', async () => {
  const { layer, coefficient, prompt, towards, away } = readJson('steering.json') as {
    layer: number;
    coefficient: number;
    prompt: string;
    towards: string[];
    away: string[];
  };
  const expected = await readTensors('steering.safetensors');
  const hook = `blocks.${layer}.hook_resid_pre`;
  using vector = steeringVector(model, { towards, away, hook });
  const largest = expected.vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expectNear(vector.data(), expected.vector, 1e-4 * largest, 'vector');
  const steered = lastLogits(prompt, { edit: { [hook]: steering(vector, coefficient) } });
  expectNear(steered, expected.steered_logits, 2e-3, 'logits');
});
