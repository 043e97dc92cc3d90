import { expect, it } from 'vitest';
import { formatBytes, parseBytes } from '../src/format-bytes.ts';

it.each([
  [0, '0 kB'],
  [213_632, '214 kB'],
  [269_030_016, '269.0 MB'],
  [1_070_000_000, '1.07 GB'],
])('%i bytes are %s', (count, words) => {
  expect(formatBytes(count)).toBe(words);
});

it.each([
  ['8GB', 8e9],
  ['12GiB', 12 * 2 ** 30],
  ['1.5 gib', 1.5 * 2 ** 30],
  ['500mb', 5e8],
  ['4096', 4096],
  ['0', undefined],
  ['-1GB', undefined],
  ['8 G', undefined],
  ['lots', undefined],
  ['', undefined],
  ['99999999TB', undefined],
])('%j is %s bytes', (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});
