import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ModelFiles } from '../../src/loader/checkpoint.ts';
import { convert } from '../../src/loader/convert.ts';
import { openGguf } from '../../src/loader/gguf/open.ts';
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

test('as f32 every tensor keeps its values, in one file or several', async () => {
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

test('the folder holds what transformers looks for', async () => {
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

test('a folder that is no earlier output is left alone', async () => {
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

test('an abort or an error leaves nothing behind, and an earlier output as it was', async () => {
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
