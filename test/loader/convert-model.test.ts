import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ModelFiles } from '../../src/loader/model-files.ts';
import { convert } from '../../src/loader/convert/convert-model.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { makeComplete } from '../../src/loader/files/make-complete.ts';
import { ownerName } from '../../src/platform/owner.ts';
import { tensorDigests } from './tensor-digests.ts';

const fixtures = fileURLToPath(new URL('../fixtures/gguf/', import.meta.url));
const llama = `${fixtures}llama-bf16.gguf`;
const expected = JSON.parse(readFileSync(`${fixtures}expected.json`, 'utf8')) as Record<
  string,
  { tensors: Record<string, { shape: number[]; sha256: string }> }
>;

let work: string;
let out: string;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'convert-'));
  out = join(work, 'model');
});
afterEach(() => {
  rmSync(work, { recursive: true });
});
const readOut = (name: string) => JSON.parse(readFileSync(join(out, name), 'utf8')) as Record<string, unknown>;

test('writes every tensor as f32 with its values, in one file or several', async () => {
  const { tensors } = expected['llama-bf16'];
  const wanted = Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, sha256 }]) => [name, { dtype: 'F32', shape, sha256 }]),
  );
  await convert(llama, out, { dtype: 'f32' });
  expect(tensorDigests(out)).toEqual(wanted);

  await convert(llama, out, { dtype: 'f32', maxFileBytes: 150_000 });
  expect(tensorDigests(out)).toEqual(wanted);
  const index = readOut('model.safetensors.index.json');
  expect(Object.keys(index.weight_map as object).sort()).toEqual(Object.keys(wanted).sort());
  expect(existsSync(join(out, 'model.safetensors'))).toBe(false);
});

test('writes the files that transformers reads', async () => {
  const progress: number[] = [];
  await convert(llama, out, { onProgress: ({ loaded, total }) => progress.push(loaded / total!) });
  expect(readdirSync(out).sort()).toEqual([
    'chat_template.jinja',
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  expect(readOut('config.json')).toMatchObject({ torch_dtype: 'bfloat16', architectures: ['LlamaForCausalLM'] });
  expect(new Set(Object.values(tensorDigests(out)).map(({ dtype }) => dtype))).toEqual(new Set(['BF16']));
  expect(progress.at(-1)).toBe(1);
  expect(readdirSync(work)).toEqual(['model']);
});

test('refuses a folder with files that it has not written', async () => {
  mkdirSync(out);
  writeFileSync(join(out, 'config.json'), '{}');
  await expect(convert(llama, out)).rejects.toThrow(/earlier output of convert/);
  expect(readdirSync(out)).toEqual(['config.json']);

  rmSync(out, { recursive: true });
  await convert(llama, out);
  writeFileSync(join(out, 'notes.txt'), 'mine');
  await expect(convert(llama, out)).rejects.toThrow(/notes\.txt/);
  expect(existsSync(join(out, 'notes.txt'))).toBe(true);
});

test('leaves nothing behind after an abort or an error, and does not change an earlier output', async () => {
  const abort = new AbortController();
  const aborted = convert(llama, out, {
    signal: abort.signal,
    onProgress: () => {
      abort.abort();
    },
  });
  await expect(aborted).rejects.toThrow(/abort/i);
  expect(readdirSync(work)).toEqual([]);

  await convert(llama, out);
  const digest = () =>
    createHash('sha256')
      .update(readFileSync(join(out, 'model.safetensors')))
      .digest('hex');
  const before = digest();
  const failing = await openGguf(llama);
  const broken: ModelFiles = {
    ...failing,
    checkpoint: {
      tensors: failing.checkpoint.tensors,
      naturalDType: () => 'bf16',
      read: () => Promise.reject(new Error('disk gone')),
      close: () => Promise.resolve(),
    },
  };
  await expect(convert(broken, out, { dtype: 'f32' })).rejects.toThrow('disk gone');
  await failing.checkpoint.close();
  expect(readdirSync(work)).toEqual(['model']);
  expect(digest()).toBe(before);
});

test('removes the temporary folders of killed processes, and no others', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const ended = once(child, 'exit');
  const own = `${out}.${ownerName()}.tmp`;
  const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')[19];
  const name = (pid: number, start: string, host = hostname()) => `${out}.${host}-${pid}-${start}-0123456789ab.tmp`;
  const alive = name(child.pid!, startOf(child.pid!));
  const reused = name(child.pid!, '1');
  const elsewhere = name(2 ** 22 + 1, '5', 'another-machine');
  const gone = name(2 ** 22 + 1, '5');
  const like = `${out}.notes.tmp`;
  for (const folder of [own, alive, reused, elsewhere, gone, like]) mkdirSync(folder);
  writeFileSync(join(gone, 'model.safetensors'), 'half');
  await convert(llama, out);
  const left = readdirSync(work).map((entry) => join(work, entry));
  expect(left.sort()).toEqual([out, own, alive, elsewhere, like].sort());

  child.kill('SIGKILL');
  await ended;
  await convert(llama, out);
  expect(existsSync(alive)).toBe(false);
});

test('restores the earlier output that a killed process had renamed', async () => {
  const former = `${out}.${hostname()}-${2 ** 22 + 1}-5-0123456789ab.tmp.former`;
  await convert(llama, former);
  await expect(makeComplete(out, () => Promise.reject(new Error('the disk is full')))).rejects.toThrow('disk is full');
  expect(readdirSync(work)).toEqual(['model']);
  expect(readOut('config.json')).toHaveProperty('vitrine_converted_from');
});

test('reports a disk that is too full before it writes anything', async () => {
  const opened = await openGguf(llama);
  const large = new Map([['huge.weight', { format: 'BF16', shape: [2 ** 26, 2 ** 26], bytes: 2 ** 53, file: 'x' }]]);
  const read = () => Promise.reject(new Error('was read'));
  const checkpoint = { tensors: large, naturalDType: () => 'bf16' as const, read, close: () => Promise.resolve() };
  await expect(convert({ ...opened, checkpoint }, out)).rejects.toThrow(
    /write .*model: expected 9007199\.25 GB free on its disk, got .* Make room/,
  );
  await opened.checkpoint.close();
  expect(readdirSync(work)).toEqual([]);
});
