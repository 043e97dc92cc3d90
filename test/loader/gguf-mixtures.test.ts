import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadNetwork } from '../../src/engine/load/load-network.ts';
import type { Checkpoint } from '../../src/loader/model-files.ts';
import { convert } from '../../src/loader/convert/convert-model.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { byteSize, elements } from '../../src/tensor/dtype.ts';
import { createBackend } from '../../src/tensor/backends.ts';
import { BACKENDS } from '../support/tested-backends.ts';
import { expectNear, modelFolder, readExpected, Runner } from '../support/fixtures.ts';

// Small models written with llama.cpp's Python package gguf in the layout of its conversion: experts stacked, q and k of
// Mixtral permuted, gate and up of gpt-oss as two tensors and its MXFP4 in ggml's order, DeepSeek's kv_b as one tensor (v2-bf16)
// or two.
const folder = join(import.meta.dirname, '..', 'fixtures', 'gguf');
const path = (name: string): string => join(folder, `${name}.gguf`);

const MODELS: [name: string, original: string][] = [
  ['qwen3moe-bf16', 'qwen3_moe'],
  ['mixtral-bf16', 'mixtral'],
  ['gpt-oss-mxfp4', 'gpt_oss_mxfp4'],
  ['deepseek-v2-bf16', 'deepseek_v2'],
  ['deepseek-v2-group-bf16', 'deepseek_v2_group'],
  ['deepseek-v3-bf16', 'deepseek_v3'],
];

// Weights are loaded alike whatever store the cache has.
const LOADING = BACKENDS.filter(([name]) => name !== 'tensorflow, device variables');

const out = mkdtempSync(join(tmpdir(), 'vitrine-mixtures-'));
afterAll(() => {
  rmSync(out, { recursive: true, force: true });
});

async function read(checkpoint: Checkpoint, name: string): Promise<Uint8Array> {
  const dtype = checkpoint.naturalDType(name) === 'u8' ? 'u8' : 'f32';
  const bytes = new Uint8Array(elements(checkpoint.tensors.get(name)!.shape) * byteSize(dtype));
  await checkpoint.read(name, dtype, bytes);
  return bytes;
}

describe.each(MODELS)('%s', (name, original) => {
  test('has the names, shapes and values of the published tensors', async () => {
    const [files, published] = [await openGguf(path(name)), await openFolder(modelFolder(original))];
    const layers = Number(published.config.num_hidden_layers);
    // llama.cpp omits the layers for multi-token prediction.
    const wanted = [...published.checkpoint.tensors.keys()].filter(
      (key) => Number(/layers\.(\d+)\./.exec(key)?.[1] ?? 0) < layers,
    );
    expect([...files.checkpoint.tensors.keys()].sort()).toEqual(wanted.sort());
    for (const key of wanted) {
      expect(files.checkpoint.tensors.get(key)!.shape, key).toEqual(published.checkpoint.tensors.get(key)!.shape);
      expect(Buffer.compare(await read(files.checkpoint, key), await read(published.checkpoint, key)), key).toBe(0);
    }
    await files.checkpoint.close();
    await published.checkpoint.close();
  });

  test('has the values of the published config.json', async () => {
    const [files, published] = [await openGguf(path(name)), await openFolder(modelFolder(original))];
    await files.checkpoint.close();
    await published.checkpoint.close();
    const same = Object.keys(files.config).filter((key) => key in published.config);
    expect(same.length).toBeGreaterThan(15);
    const pick = (config: Readonly<Record<string, unknown>>) =>
      Object.fromEntries(same.map((key) => [key, config[key]]));
    expect(pick(files.config)).toEqual(pick(published.config));
  });

  describe.each(LOADING)('on %s', (_, create) => {
    const converted = join(out, name);
    beforeAll(async () => {
      if (!existsSync(converted)) await convert(path(name), converted);
    });

    test('gives the logits and the greedy tokens of the published model, and the logits from a folder that convert wrote', async () => {
      const known = await readExpected(original);
      for (const files of [await openGguf(path(name)), await openFolder(converted)]) {
        const backend = create();
        const isFile = files.source === path(name);
        const runner = Runner.of(backend, await loadNetwork(files, backend, { weights: 'f32' }));
        const ids = [...known('input_ids').data];
        expectNear(runner.fresh(ids), known('logits').data, 3e-4, 'logits');
        const generated = isFile ? [...known('generated_ids').data] : [];
        using cache = runner.newCache();
        let logits: Float32Array = runner.run(ids, cache).slice(-runner.network.config.vocabSize);
        for (const id of generated) {
          expect(logits.indexOf(Math.max(...logits))).toBe(id);
          logits = runner.run([id], cache);
        }
        runner.dispose();
        await files.checkpoint.close();
      }
    });
  });
});

test('reads experts of gpt-oss in bf16 as numbers', async () => {
  const files = await openGguf(path('gpt-oss-bf16'));
  expect(files.config).not.toHaveProperty('quantization_config');
  const backend = createBackend('reference');
  const runner = Runner.of(backend, await loadNetwork(files, backend, { weights: 'f32' }));
  const known = await readExpected('gpt_oss_mxfp4');
  expectNear(runner.fresh([...known('input_ids').data]), known('logits').data, 3e-4, 'logits');
  runner.dispose();
  await files.checkpoint.close();
});
