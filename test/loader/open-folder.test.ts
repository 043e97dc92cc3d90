import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { writeSafetensors, type TensorToWrite } from '../../src/loader/safetensors/write-safetensors.ts';

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'vitrine-'));
  folder = join(parent, 'model');
  await mkdir(folder);
  await writeFile(join(folder, 'config.json'), '{"model_type":"llama"}');
});
afterEach(() => rm(parent, { recursive: true }));

const one: TensorToWrite = { dtype: 'F32', shape: [2], data: Float32Array.of(1, -0.5) };
const write = (name: string, ...names: string[]): Promise<void> =>
  writeSafetensors(join(folder, name), new Map(names.map((tensor) => [tensor, one])));
const index = (map: Record<string, string>): Promise<void> =>
  writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));

it('reads parts of a tensor in the stored dtype and in another', async () => {
  const data = Float32Array.from({ length: 12 }, (_, i) => i - 4);
  const codes = Uint8Array.from({ length: 12 }, (_, i) => 0x30 + i);
  await writeSafetensors(join(folder, 'model.safetensors'), {
    f: { dtype: 'F32', shape: [3, 4], data },
    c: { dtype: 'F8_E4M3', shape: [3, 4], data: codes },
  });
  const { checkpoint } = await openFolder(folder);
  const part = new Uint8Array(16);
  await checkpoint.read('f', 'f32', part, undefined, 8);
  expect([...new Float32Array(part.buffer)]).toEqual([4, 5, 6, 7]);
  await checkpoint.read('f', 'bf16', part.subarray(0, 6), undefined, 3);
  expect([...new Uint16Array(part.buffer, 0, 3)]).toEqual([0xbf80, 0, 0x3f80]);
  await checkpoint.read('c', 'f8_e4m3', part.subarray(0, 4), undefined, 4);
  expect([...part.subarray(0, 4)]).toEqual([0x34, 0x35, 0x36, 0x37]);
  await expect(checkpoint.read('f', 'f32', part, undefined, 9)).rejects.toThrow(
    /expected a target of 48 bytes for f32 \[3, 4\], got 16 from element 9 on/,
  );
  await checkpoint.close();
});

it('reads tensors in the stored dtype and in another', async () => {
  await writeSafetensors(join(folder, 'model.safetensors'), {
    f: one,
    i: { dtype: 'I64', shape: [2], data: BigInt64Array.of(-1n, 7n) },
    big: { dtype: 'I64', shape: [1], data: BigInt64Array.of(2n ** 31n) },
  });
  const { checkpoint, config } = await openFolder(folder);
  expect(config).toEqual({ model_type: 'llama' });
  expect([checkpoint.naturalDType('f'), checkpoint.naturalDType('i')]).toEqual(['f32', 'i32']);
  const read = async (name: string, dtype: 'f32' | 'bf16' | 'i32', bytes: number): Promise<ArrayBuffer> => {
    const target = new Uint8Array(bytes);
    await checkpoint.read(name, dtype, target);
    return target.buffer;
  };
  expect([...new Float32Array(await read('f', 'f32', 8))]).toEqual([1, -0.5]);
  expect([...new Uint16Array(await read('f', 'bf16', 4))]).toEqual([0x3f80, 0xbf00]);
  expect([...new Int32Array(await read('i', 'i32', 8))]).toEqual([-1, 7]);
  await expect(read('big', 'i32', 4)).rejects.toThrow(
    /model\.safetensors: tensor "big": the value 2147483648 does not fit into i32/,
  );
  await expect(read('i', 'f32', 8)).rejects.toThrow(/cannot read I64 as f32/);
  await checkpoint.close();
});

const UNSAFE = [
  '../x',
  'a/../../x',
  '/etc/passwd',
  'C:\\x',
  '\\\\host\\s',
  '..\\x',
  '%2e%2e/x',
  '%252e%252e/x',
  './x',
  '',
  '.',
  'x\0y',
  'https:x',
  '//host/x',
];
it.each(
  UNSAFE.flatMap((name) => [name, `${name}.safetensors`]).filter(
    (name) => name !== '..safetensors' && name !== '.safetensors',
  ),
)('refuses an index with the shard name %j', async (name) => {
  await index({ a: name });
  await expect(openFolder(folder)).rejects.toThrow(/expected the plain name of a \.safetensors file/);
});

it('refuses a shard that is a pipe or links out of the folder', async () => {
  await index({ a: 'a.safetensors' });
  execFileSync('mkfifo', [join(folder, 'a.safetensors')]);
  await expect(openFolder(folder)).rejects.toThrow(/got a pipe/);
  await rm(join(folder, 'a.safetensors'));
  await symlink('/etc/passwd', join(folder, 'a.safetensors'));
  await expect(openFolder(folder)).rejects.toThrow(/links to "\/etc\/passwd", outside/);
});

it('follows the links of the Hugging Face cache', async () => {
  const repository = join(parent, 'models--org--name');
  const snapshot = join(repository, 'snapshots', 'c0ffee');
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(repository, 'blobs'));
  await writeFile(join(repository, 'blobs', '1'), '{}');
  await writeSafetensors(join(repository, 'blobs', '2'), { a: one });
  await symlink('../../blobs/1', join(snapshot, 'config.json'));
  await symlink('../../blobs/2', join(snapshot, 'model.safetensors'));
  const { checkpoint } = await openFolder(snapshot);
  expect([...checkpoint.tensors.keys()]).toEqual(['a']);
  await checkpoint.close();
});

it('checks that shards have the tensors that the index states', async () => {
  await write('x.safetensors', 'a');
  await write('y.safetensors', 'b');
  await index({ a: 'x.safetensors', b: 'y.safetensors' });
  const { checkpoint } = await openFolder(folder);
  expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
  await checkpoint.close();

  await index({ a: 'y.safetensors' });
  await expect(openFolder(folder)).rejects.toThrow(/expected tensor "a" in y.safetensors/);
  await index({ a: 'x.safetensors', c: 'z.safetensors', d: 'w.safetensors' });
  await expect(openFolder(folder)).rejects.toThrow(
    /index\.json: expected 3 files of weights, 2 of them are missing: w\.safetensors, z\.safetensors\. Fetch them/,
  );

  await write('model.safetensors', 'a');
  const single = await openFolder(folder);
  expect(single.notes).toEqual(['model.safetensors.index.json is ignored: model.safetensors is there.']);
  await single.checkpoint.close();
});

it('says which file is missing, and suggests a similar path', async () => {
  await expect(openFolder(join(parent, 'modle'))).rejects.toThrow(/no such folder\. Did you mean .*model\?/);
  await expect(openFolder(parent)).rejects.toThrow(/no config\.json\. Did you mean .*model\?/);
  await expect(openFolder(join(folder, 'config.json'))).rejects.toThrow(/expected a model folder/);
  await expect(openFolder(folder)).rejects.toThrow(/found neither/);
  await writeFile(join(folder, 'pytorch_model.bin'), '');
  await expect(openFolder(folder)).rejects.toThrow(/pytorch_model\.bin is a pickle.*Convert it/);
  await writeFile(join(folder, 'config.json'), '[1]');
  await expect(openFolder(folder)).rejects.toThrow(/config\.json: expected a JSON object/);
});
