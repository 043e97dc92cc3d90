import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { LoadError } from '../../src/loader/load-error.ts';
import { SafetensorsError } from '../../src/loader/safetensors/safetensors-error.ts';
import { openSafetensors } from '../../src/loader/safetensors/open-safetensors.ts';
import { createBackend } from '../../src/tensor/backends.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { writeSafetensors, type TensorToWrite } from '../../src/loader/safetensors/write-safetensors.ts';

interface Case {
  file: string;
  verdict: 'valid' | 'invalid';
  message?: string;
  tensors?: Record<string, { dtype: string; shape: number[]; data_offsets: number[]; sha256: string }>;
  metadata?: Record<string, string> | null;
}

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const { cases } = JSON.parse(readFileSync(join(FIXTURES, 'malformed/cases.json'), 'utf8')) as { cases: Case[] };
const sha256 = (bytes: NodeJS.ArrayBufferView): string => createHash('sha256').update(bytes).digest('hex');

/** Files that the official reader accepts, although the text of the format forbids a name that occurs twice. */
const STRICTER = new Set(['odd_duplicate_tensor_same_range.safetensors']);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vitrine-'));
});
afterAll(() => rm(folder, { recursive: true }));

const errorOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Writes bytes to a file, opens it and reads all tensors; the error if there is one. */
async function readAll(bytes: Uint8Array): Promise<unknown> {
  const path = join(folder, 'candidate.safetensors');
  await writeFile(path, bytes);
  return errorOf(
    (async () => {
      const file = await openSafetensors(path);
      for (const name of file.tensors.keys()) await file.read(name);
      await file.close();
    })(),
  );
}

/** The rules by the official reader's messages. Numbers above 2^53 - 1 are a syntax error here. */
const RULES: [RegExp, string][] = [
  [/header too small/, 'HeaderTooSmall'],
  [/header too large/, 'HeaderTooLarge'],
  [/invalid header length/, 'InvalidHeaderLength'],
  [/invalid UTF-8/, 'InvalidHeader'],
  [/invalid JSON/, 'InvalidHeaderDeserialization'],
  [/invalid offset/, 'InvalidOffset'],
  [/overflow computing/, 'ValidationOverflow'],
  [/invalid shape, data type/, 'TensorInvalidInfo'],
  [/not fully covered/, 'MetadataIncompleteBuffer'],
];

describe('files with a verdict of the official reader', () => {
  it.each(cases.filter((c) => c.verdict === 'invalid' || STRICTER.has(c.file)))('refuses $file', async (c) => {
    const error = await errorOf(openSafetensors(join(FIXTURES, 'malformed', c.file)));
    expect(error).toBeInstanceOf(SafetensorsError);
    const { message, rule, tensor } = error as SafetensorsError;
    const official = RULES.find(([pattern]) => pattern.test(c.message ?? ''))?.[1];
    const numbers = c.file.includes('2_pow_53') || c.file.includes('overflow') || c.file.includes('wraps_to');
    if (rule !== official)
      expect([rule, numbers || c.file.includes('duplicate_tensor')]).toEqual(['InvalidHeaderDeserialization', true]);
    expect(message).toContain(c.file);
    expect(message).toMatch(/\. (The file|This is no)/);
    if (tensor !== undefined) expect(message).toContain(`tensor "${tensor}`);
    if (/^(offsets|shape|size|dtype|missing|entry)_/.test(c.file)) expect(tensor).toBeDefined();
  });

  it.each(cases.filter((c) => c.verdict === 'valid' && !STRICTER.has(c.file)))('reads $file', async (c) => {
    const file = await openSafetensors(join(FIXTURES, 'malformed', c.file));
    const read = new Map<string, unknown>();
    for (const [name, { dtype, shape, dataOffsets }] of file.tensors) {
      read.set(name, { dtype, shape, data_offsets: dataOffsets, sha256: sha256((await file.read(name)).data) });
    }
    await file.close();
    const wanted = Object.entries(c.tensors ?? {}).map(
      ([name, { dtype, shape, data_offsets, sha256 }]) => [name, { dtype, shape, data_offsets, sha256 }] as const,
    );
    expect(read).toEqual(new Map(wanted));
    expect(file.metadata).toEqual(new Map(Object.entries(c.metadata ?? {})));
  });
});

describe('damaged files', () => {
  it('refuses a file truncated at any byte', async () => {
    const whole = await readFile(join(FIXTURES, 'python.safetensors'));
    for (let length = 0; length < whole.length; length++) {
      expect(await readAll(whole.subarray(0, length)), `cut at ${length}`).toBeInstanceOf(SafetensorsError);
    }
    expect(await readAll(whole)).toBeUndefined();
  });

  it('refuses or reads each of 1,000 mutated files, and accepts none whose tensors do not cover the data', async () => {
    const whole = await readFile(join(FIXTURES, 'python.safetensors'));
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    let accepted = 0;
    for (let i = 0; i < 1000; i++) {
      let bytes = Buffer.from(whole);
      for (let n = random(3); n >= 0; n--) {
        const at = random(bytes.length);
        const kind = random(4);
        if (kind === 0) bytes[at] ^= 1 << random(8);
        else if (kind === 1) bytes[at] = '0123456789[]{}",: '.charCodeAt(random(18));
        else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
        else bytes.writeUInt8(random(256), random(8));
      }
      const error = await readAll(bytes);
      if (error === undefined) {
        accepted++;
        expect(coversFile(bytes), bytes.toString('latin1')).toBe(true);
      } else expect(error, bytes.toString('latin1')).toBeInstanceOf(SafetensorsError);
    }
    expect(accepted).toBeGreaterThan(16); // else the mutations are too coarse for a test
  });

  /** An independent check of the layout. */
  function coversFile(bytes: Buffer): boolean {
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const ranges = Object.entries(header).flatMap(([name, entry]) =>
      name === '__metadata__' ? [] : [entry.data_offsets],
    );
    const used = ranges.reduce((sum, [begin, end]) => sum + end - begin, 0);
    return used === bytes.length - 8 - length && Math.max(0, ...ranges.flat()) === used;
  }

  it('refuses a pipe and a folder without waiting, and reports a file that became shorter', async () => {
    const pipe = join(folder, 'pipe.safetensors');
    execFileSync('mkfifo', [pipe]);
    await expect(openSafetensors(pipe)).rejects.toThrow(/expected a regular file, got a pipe/);
    await expect(openSafetensors(folder)).rejects.toThrow(/expected a regular file, got a folder/);
    await expect(openSafetensors(join(folder, 'absent'))).rejects.toThrow(LoadError);

    const path = join(folder, 'shrinking.safetensors');
    await writeSafetensors(path, { a: { dtype: 'U8', shape: [100], data: new Uint8Array(100) } });
    const file = await openSafetensors(path);
    const handle = await open(path, 'r+');
    await handle.truncate(90);
    await handle.close();
    await expect(file.read('a')).rejects.toThrow(/became shorter/);
    await file.close();
  });
});

/** Headers of some 20 MB, most of them valid JSON, that repeat one small item. */
const HUGE: readonly (readonly [string, string, RegExp])[] = [
  ['dimensions', `{"a":{"dtype":"U8","shape":[${'1,'.repeat(1e7)}1],"data_offsets":[0,1]}}`, /at most 64 dimensions/],
  [
    'tensors',
    `{${Array.from({ length: 2 ** 18 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`).join()}}`,
    /at most 131072 tensors/,
  ],
  [
    'a name',
    `{"${'n'.repeat(2e7)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
    /name of at most 1000 bytes, got 20000000/,
  ],
  [
    'a name in escapes',
    `{"${'\\u0041'.repeat(3e6)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`,
    /name of at most 1000 bytes/,
  ],
  [
    'metadata',
    `{"__metadata__":{${Array.from({ length: 1e6 }, (_, i) => `"${i}":""`).join()}}}`,
    /at most 65536 entries of __metadata__/,
  ],
  ['nesting', `{"a":{"x":${'['.repeat(1e7)}`, /at most 127 levels/],
  ['digits', `{"a":{"dtype":"U8","shape":[${'9'.repeat(1e7)}]}}`, /up to 2\^53 - 1/],
  ['a dtype', `{"a":{"dtype":"${'y'.repeat(1e7)}"}}`, /expected a dtype of/],
];

it.each(HUGE)(
  'refuses a header full of %s with less than 256 MB of memory and a short message',
  async (_, header, message) => {
    const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(header)]);
    bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
    const path = join(folder, 'huge.safetensors');
    await writeFile(path, bytes);
    const before = process.memoryUsage().rss;
    const error = (await errorOf(openSafetensors(path))) as Error;
    expect(error).toBeInstanceOf(SafetensorsError);
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(256e6);
  },
);

it('reads a tensor at a position beyond 4 GiB into shared memory', async () => {
  const path = join(folder, 'large.safetensors');
  const far = 5 * 2 ** 30;
  const header = Buffer.from(
    JSON.stringify({
      hole: { dtype: 'U8', shape: [far], data_offsets: [0, far] },
      far: { dtype: 'F32', shape: [2], data_offsets: [far, far + 8] },
    }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const handle = await open(path, 'w');
  await handle.write(Buffer.concat([length, header]));
  await handle.write(new Uint8Array(Float32Array.of(1.5, -2).buffer), 0, 8, 8 + header.length + far);
  await handle.close();

  const file = await openSafetensors(path);
  const target = new Uint8Array(new SharedArrayBuffer(8));
  await file.readInto('far', target);
  expect([...new Float32Array(target.buffer)]).toEqual([1.5, -2]);
  await expect(file.readInto('far', new Uint8Array(9))).rejects.toThrow(/expected a target of 8 bytes, got 9/);
  await expect(file.read('nothing')).rejects.toThrow(/tensor "nothing".*TensorNotFound/);
  await file.close();
});

describe('writeSafetensors', () => {
  it('writes tensors in their dtypes', async () => {
    const path = join(folder, 'tensors.safetensors');
    const backend = createBackend('reference');
    const floats = Tensor.from(backend, [
      [1, -2],
      [0.5, Infinity],
    ]);
    const tensors = {
      floats,
      halves: floats.cast('f16'),
      narrow: floats.cast('bf16'),
      ids: Tensor.from(backend, Int32Array.of(-1, 2 ** 24 + 1)),
      bytes: Tensor.from(backend, Uint8Array.of(7, 255)),
      number: Tensor.from(backend, [3], []),
    };
    await writeSafetensors(path, { ...tensors, plain: { dtype: 'U8', shape: [1], data: Uint8Array.of(9) } });
    const file = await openSafetensors(path);
    const stored = async (name: string): Promise<unknown> => {
      const { dtype, shape, data } = await file.read(name);
      return [dtype, shape, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')];
    };
    // IEEE 754: 1 is 3f800000 in f32, 3c00 in f16 and, cut off, 3f80 in bf16; bytes in reverse order.
    expect(await stored('floats')).toEqual(['F32', [2, 2], '0000803f000000c00000003f0000807f']);
    expect(await stored('halves')).toEqual(['F16', [2, 2], '003c00c00038007c']);
    expect(await stored('narrow')).toEqual(['BF16', [2, 2], '803f00c0003f807f']);
    expect(await stored('ids')).toEqual(['I32', [2], 'ffffffff01000001']);
    expect(await stored('bytes')).toEqual(['U8', [2], '07ff']);
    expect(await stored('number')).toEqual(['F32', [], '00004040']);
    expect(await stored('plain')).toEqual(['U8', [1], '09']);
    await file.close();
    floats.dispose();
    await expect(writeSafetensors(path, { floats })).rejects.toThrow('f32 [2, 2] was freed by dispose().');
    expect((await readdir(folder)).filter((name) => name.startsWith('tensors'))).toEqual(['tensors.safetensors']);
  });

  it('writes what the Python library writes, byte for byte', async () => {
    const source = join(FIXTURES, 'python.safetensors');
    const file = await openSafetensors(source);
    const tensors = new Map<string, TensorToWrite>();
    for (const name of [...file.tensors.keys()].reverse()) {
      const { dtype, shape } = file.tensors.get(name)!;
      tensors.set(name, { dtype, shape, data: async () => (await file.read(name)).data });
    }
    const path = join(folder, 'written.safetensors');
    await writeSafetensors(path, tensors, Object.fromEntries(file.metadata));
    await file.close();
    expect(await readFile(path)).toEqual(await readFile(source));
  });

  const ok: TensorToWrite = { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) };
  const refused: [string, Record<string, TensorToWrite>, RegExp][] = [
    ['a reserved name', { __metadata__: ok }, /reserved for the metadata/],
    ['half a character', { '\ud83d': ok }, /surrogate/],
    ['a negative size', { a: { ...ok, shape: [-2] } }, /shape \[-2\]/],
    ['a fraction', { a: { ...ok, shape: [0.5] } }, /shape \[0\.5\]/],
    ['too few bytes', { a: { ...ok, shape: [3] } }, /expected 12 bytes for F32 \[3\], got 8/],
    ['too many bytes', { a: { ...ok, shape: [1] } }, /expected 4 bytes/],
    ['half a byte', { a: { dtype: 'F4', shape: [1, 3], data: new Uint8Array(2) } }, /whole bytes/],
    ['an unknown dtype', { a: { ...ok, dtype: 'f32' as 'F32' } }, /expected a dtype of BOOL/],
    ['a source that fails', { a: { ...ok, data: () => Promise.reject(new Error('no more')) } }, /no more/],
  ];
  it.each(refused)('refuses %s and leaves nothing behind', async (_, tensors, message) => {
    const path = join(folder, 'refused.safetensors');
    await expect(writeSafetensors(path, tensors)).rejects.toThrow(message);
    expect((await readdir(folder)).filter((name) => name.startsWith(basename(path)))).toEqual([]);
  });
});
