import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { modelHash, samplesOf } from '../../src/bench/subject/model-hash.ts';
import type { StoredTensor } from '../../src/loader/model-files.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { writeSafetensors } from '../../src/loader/safetensors/write-safetensors.ts';
import { modelFolder } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-hash-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function hashOf(path: string): Promise<string> {
  const files = await openFolder(path);
  try {
    return await modelHash(files);
  } finally {
    await files.checkpoint.close();
  }
}

let copies = 0;
function copy(name: string): { path: string; weights: string } {
  const path = join(folder, String(copies++));
  cpSync(modelFolder(name), path, { recursive: true });
  return { path, weights: join(path, 'model.safetensors') };
}

test('a copy has the same hash, and a change of one byte or another model a different one', async () => {
  const known = await hashOf(modelFolder('llama_gqa_tied'));
  const { path, weights } = copy('llama_gqa_tied');
  expect(await hashOf(path)).toBe(known);
  const bytes = readFileSync(weights);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(weights, bytes);
  expect(await hashOf(path)).not.toBe(known);
  expect(await hashOf(modelFolder('llama_untied'))).not.toBe(known);
});

test('a change in any shard changes the hash', async () => {
  const known = await hashOf(modelFolder('mixtral'));
  const { path } = copy('mixtral');
  expect(await hashOf(path)).toBe(known);
  for (const shard of ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']) {
    const bytes = readFileSync(join(path, shard));
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(join(path, shard), bytes);
    expect(await hashOf(path)).not.toBe(known);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(join(path, shard), bytes);
  }
});

test('a large file is sampled at 16 places from beginning to end', async () => {
  const values = new Uint8Array(3 * 2 ** 20);
  const { path, weights } = copy('llama_gqa_tied');
  await writeSafetensors(weights, [['w', { dtype: 'U8', shape: [values.length], data: values }]], {});
  const known = await hashOf(path);
  const bytes = readFileSync(weights);
  const samples = samplesOf(bytes.length);
  expect(samples).toHaveLength(16);
  expect(samples[0].position).toBe(0);
  expect(samples[15].position + samples[15].length).toBe(bytes.length);
  for (const at of [samples[7].position, samples[7].position + 2 ** 16 - 1, bytes.length - 1]) {
    bytes[at] = 1;
    writeFileSync(weights, bytes);
    expect(await hashOf(path), `byte ${at}`).not.toBe(known);
    bytes[at] = 0;
  }
  bytes[samples[7].position + 2 ** 16] = 1; // Between two samples.
  writeFileSync(weights, bytes);
  expect(await hashOf(path)).toBe(known);
});

test("a change of a tensor's name, dtype or shape changes the hash", async () => {
  const files = await openFolder(modelFolder('llama_gqa_tied'));
  await files.checkpoint.close();
  const { tensors } = files.checkpoint;
  const [name, tensor] = [...tensors][0];
  const withOther = (key: string, other: Partial<StoredTensor>): Promise<string> => {
    const table = new Map(tensors);
    table.delete(name);
    table.set(key, { ...tensor, ...other });
    return modelHash({ config: files.config, checkpoint: { ...files.checkpoint, tensors: table } });
  };
  const known = await modelHash(files);
  expect(await withOther(name, {})).toBe(known);
  expect(await withOther(name, { format: 'F16' })).not.toBe(known);
  expect(await withOther(name, { shape: tensor.shape.toReversed() })).not.toBe(known);
  expect(await withOther(`${name}.`, {})).not.toBe(known);
});
