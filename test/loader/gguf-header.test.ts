import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GgufError } from '../../src/loader/gguf/gguf-error.ts';
import { readGgufHeader, type GgufHeader } from '../../src/loader/gguf/gguf-header.ts';
import { Metadata } from '../../src/loader/gguf/metadata.ts';
import type { GgufArray, GgufValue } from '../../src/loader/gguf/metadata-values.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { array, f32, gguf, key, T, tensor, text, u32, u64, u8 } from './gguf-writer.ts';

const read = (bytes: Buffer): Promise<GgufHeader> =>
  readGgufHeader({
    path: 'test.gguf',
    size: bytes.length,
    read: (target, position) => {
      target.set(bytes.subarray(position, position + target.length));
      return Promise.resolve();
    },
  });

const F32 = 0;
const I8 = 24;
const Q8_0 = 8;
const two = [tensor('a', [3], F32, 0), tensor('b', [4, 2], F32, 32)];
const aligned = (value: number) => key('general.alignment', T.u32, u32(value));
const data = Buffer.alloc(64, 1);

// The first 26 are the invalid files of llama.cpp's tests/test-gguf.cpp; some of the others are from Ollama's tests.
const bad: [string, Buffer, RegExp][] = [
  ['magic', gguf({ magic: 'FUGG' }), /magic.*"GGUF"/],
  ['version 0', gguf({ version: 0 }), /version.*got 0/],
  ['version 1', gguf({ version: 1 }), /version.*got 1.*Convert/],
  ['version 4', gguf({ version: 4 }), /version.*got 4/],
  ['tensor count', gguf({ tensorCount: -1n }), /tensor list/],
  ['metadata count', gguf({ keyCount: -1n }), /metadata/],
  ['key length', gguf({ keys: [Buffer.concat([u64(-1), u32(T.u8), u8(0)])] }), /metadata key 0.*bytes/],
  ['empty key', gguf({ keys: [key('', T.u8, u8(0))] }), /metadata key 0.*empty/],
  ['value type', gguf({ keys: [key('a', 13, u8(0))] }), /"a".*value type below 13, got 13/],
  ['duplicate key', gguf({ keys: [key('a', T.u8, u8(0)), key('a', T.u8, u8(1))] }), /"a".*twice/],
  ['alignment 13', gguf({ keys: [aligned(13)] }), /general\.alignment.*power of two, got 13/],
  ['alignment as i32', gguf({ keys: [key('general.alignment', T.i32, u32(32))] }), /general\.alignment.*u32/],
  [
    'name length',
    gguf({ tensors: [tensor('n'.repeat(64), [4], F32, 0)], data }),
    /name of tensor 0: expected at most 63 bytes.*got 64/,
  ],
  [
    'dimension count',
    gguf({ tensors: [tensor('a', [1, 1, 1, 1, 1], F32, 0)], data }),
    /"a".*at most 4 dimensions, got 5/,
  ],
  ['negative shape', gguf({ tensors: [tensor('a', [-1n], F32, 0)], data }), /"a".*at most 2\^53 elements/],
  [
    'too many elements',
    gguf({ tensors: [tensor('a', [2 ** 33, 2 ** 33], F32, 0)], data }),
    /"a".*at most 2\^53 elements/,
  ],
  ['too many bytes', gguf({ tensors: [tensor('a', [2 ** 52], F32, 0)], data }), /"a".*the file ends at/],
  ['tensor type', gguf({ tensors: [tensor('a', [4], 999, 0)], data }), /"a".*known tensor type, got 999/],
  ['offset', gguf({ tensors: [tensor('a', [4], F32, -1n)], data }), /"a".*expected data from offset 0 on/],
  ['duplicate name', gguf({ tensors: [two[0], tensor('a', [3], F32, 32)], data }), /"a".*twice/],
  ['alignment 13 with tensors', gguf({ keys: [aligned(13)], tensors: two, data }), /general\.alignment/],
  ['offsets for another alignment', gguf({ tensors: [two[0], tensor('b', [4], F32, 12)], data }), /"b".*offset 32/],
  ['one byte missing', gguf({ tensors: two, data: data.subarray(1) }), /"b".*incomplete/],
  ['alignment 13 with data', gguf({ keys: [aligned(13)], tensors: [two[0]], data }), /power of two/],
  ['padding for another alignment', gguf({ keys: [aligned(1)], alignment: 1, tensors: two, data }), /"b".*offset 12/],
  [
    'sizes that overflow together',
    gguf({
      tensors: [tensor('a', [0x7fff_ffff_ffff_ffc0n], I8, 0), tensor('b', [0x7fff_ffff_ffff_ffc0n], I8, 0)],
      data,
    }),
    /"a".*at most 2\^53 elements/,
  ],
  ['empty file', Buffer.alloc(0), /magic.*ends at 0/],
  ['big-endian', gguf({ version: 0x0300_0000 }), /big-endian.*little-endian/],
  [
    'row of half a block',
    gguf({ tensors: [tensor('a', [48, 2], Q8_0, 0)], data }),
    /"a".*Q8_0 blocks of 32, got rows of 48 elements/,
  ],
  ['tensor without data', gguf({ tensors: two }), /"b".*incomplete|"a".*incomplete/],
  ['overlapping tensors', gguf({ tensors: [two[0], tensor('b', [4], F32, 0)], data }), /"b".*offset 32/],
  ['long string', gguf({ keys: [key('a', T.text, u64(2 ** 40))] }), /"a".*1099511627776 bytes/],
  ['long array', gguf({ keys: [key('a', T.array, u32(T.u8), u64(2 ** 40))] }), /"a".*expected room for/],
  ['long array of strings', gguf({ keys: [key('a', T.array, u32(T.text), u64(5))] }), /"a".*5 × 8/],
  ['string of version 1', gguf({ version: 1, keys: [key('a', T.text, u32(0))] }), /version.*got 1/],
  ['boolean 2', gguf({ keys: [key('a', T.bool, u8(2))] }), /"a".*boolean/],
  ['string not UTF-8', gguf({ keys: [key('a', T.text, u64(1), u8(0xff))] }), /"a".*UTF-8/],
  [
    'arrays in arrays in arrays',
    gguf({
      keys: [
        key('a', T.array, array(T.array, [array(T.array, [array(T.array, [array(T.array, [array(T.u8, [])])])])])),
      ],
    }),
    /"a".*nested/,
  ],
  [
    'absurd size beside 0',
    gguf({ tensors: [tensor('a', [0, 2n ** 60n], F32, 0)], data }),
    /"a".*at most 2\^53 elements/,
  ],
];

test.each(bad)('refuses a header with a fault: %s', async (_, bytes, message) => {
  const error = await read(bytes).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(GgufError);
  expect((error as GgufError).message).toMatch(/^test\.gguf: /);
  expect((error as GgufError).message).toMatch(message);
});

const values = [
  key('u8', T.u8, u8(200)),
  key('i8', T.i8, u8(200)),
  key('u32', T.u32, u32(4e9)),
  key('f32', T.f32, f32(0.5)),
  key('bool', T.bool, u8(1)),
  key('text', T.text, text('ÄΩ🙂')),
  key('u64', T.u64, u64(2n ** 64n - 1n)),
  key('i64', T.i64, u64(-5)),
  key('array', T.array, array(T.array, [array(T.text, [text('a'), text('')]), array(T.bool, [])])),
  key('__proto__', T.u8, u8(1)),
];

// The valid files of llama.cpp's tests/test-gguf.cpp.
const good: [string, Buffer, string[]][] = [
  ['no keys and no tensors', gguf(), []],
  ['every kind of value', gguf({ keys: values }), []],
  ['a size of 0', gguf({ tensors: [tensor('a', [0, 5], F32, 0)] }), ['a']],
  ['tensors', gguf({ tensors: two, data }), ['a', 'b']],
  ['alignment 1', gguf({ keys: [aligned(1)], tensors: [two[0], tensor('b', [4, 2], F32, 12)], data }), ['a', 'b']],
  ['data', gguf({ version: 2, tensors: two, data }), ['a', 'b']],
  ['data at alignment 64', gguf({ keys: [aligned(64)], alignment: 64, tensors: [two[0]], data }), ['a']],
];

test.each(good)('reads a header: %s', async (_, bytes, names) => {
  expect([...(await read(bytes)).tensors.keys()]).toEqual(names);
});

const unpacked = (value: GgufValue): unknown => (typeof value === 'object' ? [...value].map(unpacked) : value);

test('reads every type of metadata value, and the positions of tensors', async () => {
  const bytes = gguf({ keys: values, tensors: two, data });
  const { metadata, tensors } = await read(bytes);
  expect(Object.fromEntries([...metadata].map(([name, value]) => [name, unpacked(value)]))).toEqual(
    Object.fromEntries<unknown>([
      ['u8', 200],
      ['i8', -56],
      ['u32', 4e9],
      ['f32', 0.5],
      ['bool', true],
      ['text', 'ÄΩ🙂'],
      ['u64', 2n ** 64n - 1n],
      ['i64', -5],
      ['array', [['a', ''], []]],
      ['__proto__', 1],
    ]),
  );
  expect(tensors.get('b')).toMatchObject({ shape: [2, 4], bytes: 32, position: bytes.length - 32 });
});

test('reads a header that is larger than the first read of 1 MiB', async () => {
  const long = 'x'.repeat(3 * 2 ** 20);
  const { metadata } = await read(gguf({ keys: [key('long', T.text, text(long)), key('after', T.u8, u8(7))] }));
  expect(metadata.get('long')).toBe(long);
  expect(metadata.get('after')).toBe(7);
});

test.each<[string, Buffer, RegExp]>([
  [
    'a header of 70 MB',
    gguf({ keys: [key('a', T.array, u32(T.u8), u64(70e6))], data: Buffer.alloc(70e6) }),
    /header: expected at most 67108864 bytes/,
  ],
  [
    'a million keys',
    gguf({ keyCount: 1_000_000n, data: Buffer.alloc(14e6) }),
    /metadata: expected at most 65536 entries, got 1000000/,
  ],
  [
    'a million tensors',
    gguf({ tensorCount: 1_000_000n, data: Buffer.alloc(24e6) }),
    /tensor list: expected at most 65536/,
  ],
  [
    'a key of 1 MB',
    gguf({ keys: [key('k'.repeat(1e6), T.u8, u8(0))] }),
    /metadata key 0: expected at most 65535 bytes of text, got 1000000/,
  ],
  [
    'a name of 1 MB',
    gguf({ tensors: [tensor('n'.repeat(1e6), [1], F32, 0)] }),
    /expected at most 63 bytes of text, got 1000000/,
  ],
  ['a removed type', gguf({ tensors: [tensor('a', [4], 31, 0)], data }), /Q4_0_4_4.*removed/],
])('refuses %s with a short message', async (_, bytes, message) => {
  const error = await read(bytes).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(GgufError);
  expect((error as GgufError).message).toMatch(message);
  expect((error as GgufError).message.length).toBeLessThan(2000);
});

test('does not decode an array until it is asked for', async () => {
  const count = 60_000_000;
  const bytes = gguf({ keys: [key('a', T.array, u32(T.u8), u64(count), Buffer.alloc(count, 1))] });
  const before = process.memoryUsage().heapUsed;
  const { metadata } = await read(bytes);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20e6);
  expect((metadata.get('a') as GgufArray).length).toBe(count);
  const asked = new Metadata('test.gguf', metadata);
  expect(() => asked.get('numbers', 'a')).toThrow(/"a": expected at most 786432 items, got 60000000/);
  expect(() => asked.get('integer', 'a')).toThrow(/expected at most 786432 items/);
});

test('refuses a valid file truncated at any byte', async () => {
  const whole = gguf({ keys: values, tensors: two, data });
  for (let length = 0; length < whole.length; length++) {
    await expect(read(whole.subarray(0, length)), `${length} bytes`).rejects.toBeInstanceOf(GgufError);
  }
});

test('refuses or reads each of 20,000 mutated headers, with all tensors inside the file', async () => {
  const whole = gguf({ keys: values, tensors: two, data });
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let accepted = 0;
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.from(whole);
    for (let edits = 1 + random(3); edits > 0; edits--) {
      const at = random(bytes.length);
      if (random(2) === 0) bytes[at] ^= 1 << random(8);
      else bytes.fill([0, 0xff, 0x7f, 0x80][random(4)], at, Math.min(bytes.length, at + 1 + random(8)));
    }
    try {
      const { tensors } = await read(bytes);
      let end = 0;
      for (const { position, bytes: size } of tensors.values()) {
        expect(position).toBeGreaterThanOrEqual(end);
        end = position + size;
      }
      expect(end).toBeLessThanOrEqual(bytes.length);
      accepted++;
    } catch (error) {
      expect(error).toBeInstanceOf(GgufError);
    }
  }
  expect(accepted).toBeGreaterThan(100);
});

test('refuses a folder and a pipe without waiting', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gguf-'));
  await expect(openGguf(folder)).rejects.toThrow(/folder/);
  const pipe = join(folder, 'pipe.gguf');
  execFileSync('mkfifo', [pipe]);
  await expect(openGguf(pipe)).rejects.toThrow(/pipe/);
});
