import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openModel } from '../../src/loader/open/open-model.ts';
import { GgufError } from '../../src/loader/gguf/gguf-error.ts';
import { readGgufHeader } from '../../src/loader/gguf/gguf-header.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { GGML_TYPES } from '../../src/loader/gguf/gguf-types.ts';
import { InputFile } from '../../src/loader/files/input-file.ts';
import { elements } from '../../src/tensor/dtype.ts';
import { key, split, T, text } from './gguf-writer.ts';

const path = join(import.meta.dirname, '..', 'fixtures', 'gguf', 'llama-bf16.gguf');
const whole = readFileSync(path);
const input = await InputFile.open(path);
const { tensors } = await readGgufHeader(input);
await input.close();
const stored = [...tensors].map(([name, { type, ...tensor }]) => ({
  name,
  ...tensor,
  type: [...GGML_TYPES].find(([, it]) => it === type)![0],
}));

const folder = mkdtempSync(join(tmpdir(), 'vitrine-parts-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const partName = (part: number, count = 3) => `m-0000${part + 1}-of-0000${count}.gguf`;

/** Writes a folder with the parts of a model; `edit` may change or remove some of them. */
function parts(
  name: string,
  edit: (files: Map<string, Buffer>) => void = () => undefined,
  more?: (part: number) => Buffer[],
): string {
  const inner = join(folder, name);
  mkdirSync(inner);
  const files = new Map(split(whole, stored, 3, more).map((bytes, part) => [partName(part), bytes]));
  edit(files);
  for (const [file, bytes] of files) writeFileSync(join(inner, file), bytes);
  return inner;
}

test.each([0, 1, 2])('a model in three parts equals the whole one, when part %i is opened', async (part) => {
  const inner = parts(`whole-${part}`);
  const [one, several] = [await openGguf(path), await openGguf(join(inner, partName(part)))];
  expect(several.config).toEqual(one.config);
  expect(several.tokenizer).toEqual(one.tokenizer);
  expect([...several.checkpoint.tensors.keys()].sort()).toEqual([...one.checkpoint.tensors.keys()].sort());
  for (const [name, { shape }] of one.checkpoint.tensors) {
    const [wanted, got] = [one, several].map(() => new Uint8Array(4 * elements(shape)));
    await one.checkpoint.read(name, 'f32', wanted);
    await several.checkpoint.read(name, 'f32', got);
    expect(Buffer.compare(wanted, got), name).toBe(0);
  }
  await one.checkpoint.close();
  await several.checkpoint.close();
});

test.each([0, 2])('finds parts with names in capitals, when part %i is opened', async (part) => {
  const inner = parts(`capitals-${part}`, (files) => {
    for (const [name, bytes] of [...files]) {
      files.delete(name);
      files.set(name.toUpperCase(), bytes);
    }
  });
  const { checkpoint } = await openGguf(join(inner, partName(part).toUpperCase()));
  await checkpoint.close();
  expect(checkpoint.tensors.size).toBe(stored.length);
});

test('opens a folder with the parts of one model', async () => {
  const { checkpoint } = await openModel(parts('folder'));
  await checkpoint.close();
  expect(checkpoint.tensors.size).toBe(stored.length);
});

const other = (name: string) => key('general.architecture', T.text, text(name));
test.each<[string, (files: Map<string, Buffer>) => void, RegExp, ((part: number) => Buffer[])?]>([
  ['a missing part', (files) => files.delete(partName(1)), /m-00002-of-00003\.gguf: this part .* missing\. Download/],
  ['a missing first part', (files) => files.delete(partName(0)), /m-00001-of-00003\.gguf: this part .* missing/],
  [
    'one part under two names',
    (files) => files.set(partName(1), files.get(partName(2))!),
    /00002-of.*expected part 2, as its name says, got part 3/,
  ],
  [
    'a part of another count',
    (files) => files.set(partName(1), split(whole, stored, 2)[1]),
    /00002-of.*of 2 parts.*different models/,
  ],
  [
    'a part of a model with fewer tensors',
    (files) => files.set(partName(1), split(whole, stored.slice(0, -3), 3)[1]),
    /00002-of.*with \d+ tensors.*different models/,
  ],
  [
    'a tensor in two parts',
    (files) => {
      const twice = [...stored];
      twice[1] = stored[0];
      files.set(partName(1), split(whole, twice, 3)[1]);
    },
    /00002-of.*"token_embd.*is in .*00001-of.* as well/,
  ],
  [
    'a part with fewer tensors',
    (files) => {
      const fewer = split(whole, stored, 3, () => []);
      files.set(partName(2), patchCount(split(whole, stored.slice(0, -3), 3)[2]));
      files.set(partName(0), fewer[0]);
    },
    /expected \d+ tensors in its 3 parts, got \d+/,
  ],
  [
    'a part that names another architecture',
    () => undefined,
    /00003-of.*the same general.architecture.*different models/,
    (part) => (part === 2 ? [other('qwen2')] : []),
  ],
])('refuses %s', async (name, edit, message, more) => {
  const error = await openGguf(join(parts(name, edit, more), partName(2))).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(GgufError);
  expect((error as Error).message).toMatch(message);
});

/** Sets split.tensors.count to the number of all tensors. */
function patchCount(part: Buffer): Buffer {
  const name = Buffer.from('split.tensors.count');
  part.writeUInt32LE(stored.length, part.indexOf(name) + name.length + 4);
  return part;
}

test('refuses a part whose name does not give the names of the others', async () => {
  const inner = parts('renamed');
  writeFileSync(join(inner, 'model.gguf'), readFileSync(join(inner, partName(0))));
  await expect(openGguf(join(inner, 'model.gguf'))).rejects.toThrow(/part 1 of 3.*NAME-00001-of-00003\.gguf/);
  writeFileSync(join(inner, 'm-00001-of-00004.gguf'), readFileSync(join(inner, partName(0))));
  await expect(openGguf(join(inner, 'm-00001-of-00004.gguf'))).rejects.toThrow(
    /expected a name that says 3 parts.*got 4/,
  );
});

test('refuses a part that is a link out of the folder', async () => {
  const inner = parts('links', (files) => files.delete(partName(1)));
  symlinkSync(path, join(inner, partName(1)));
  await expect(openGguf(join(inner, partName(0)))).rejects.toThrow(/m-00002-of-00003\.gguf: links to .* outside/);
});

test('opens MODEL.GGUF, a GGUF file with another name, and a folder with one GGUF file', async () => {
  const inner = join(folder, 'names');
  mkdirSync(inner);
  for (const name of ['MODEL.GGUF', 'sha256-0123']) {
    writeFileSync(join(inner, name), whole);
    const { checkpoint } = await openModel(join(inner, name));
    await checkpoint.close();
    expect(checkpoint.tensors.size).toBe(stored.length);
  }
  await (await openModel(inner)).checkpoint.close();
  writeFileSync(join(inner, 'other.gguf'), whole);
  await expect(openModel(inner)).rejects.toThrow(/Did you mean .*\.gguf/i);
});

test.each([
  ['a safetensors file', Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')])],
  ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0')],
  ['an HTML or XML page', Buffer.from('<!DOCTYPE html><html>')],
])('the error about a .gguf file that is %s says so', async (what, bytes) => {
  const file = join(folder, 'other.gguf');
  writeFileSync(file, bytes);
  await expect(openModel(file)).rejects.toThrow(new RegExp(`"GGUF"\\. It looks like ${what}`));
});
