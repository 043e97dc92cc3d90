import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { bf16 } from '../../src/tensor/formats/bf16.ts';
import { f16 } from '../../src/tensor/formats/f16.ts';
import type { WritableFormat } from '../../src/tensor/formats/format.ts';
import { f8E4m3, f8E5m2 } from '../../src/tensor/formats/fp8.ts';

/** SHA-256 of all codes decoded to f32 (NaN as 0x7fc00000), by numpy 2.4 and ml_dtypes 0.6. */
const DECODED: [WritableFormat, string, overflow: number][] = [
  [f16, '385ff5fe69182797cda5f1827e20cf423f4416bc9246f27d0eec27cac9039259', Infinity],
  [bf16, 'f12e27efe34841dfd6391497b86f389096b03a376586e1d9691bba0a8de3980a', Infinity],
  [f8E4m3, '422eccfaa21e72a6b26855bb10cdcfead6c1ce3262ecd813c99d8cbf9677f2e2', NaN],
  [f8E5m2, '229a94c5f728edf2259da970a0e1dfb45cc1d69cce2b30e37659f3212ec4b8b9', Infinity],
];

const allCodes = ({ blockBytes }: WritableFormat): Uint8Array =>
  blockBytes === 1
    ? Uint8Array.from({ length: 256 }, (_, i) => i)
    : new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);

function decode(format: WritableFormat, codes: Uint8Array): Float32Array {
  const values = new Float32Array(codes.length / format.blockBytes);
  format.decode(codes, values);
  return values;
}

function round(format: WritableFormat, values: number[]): Float32Array {
  const codes = new Uint8Array(values.length * format.blockBytes);
  format.encode(Float32Array.from(values), codes);
  return decode(format, codes);
}

/** The f32 after (or before) a positive one. */
function step(x: number, by: 1 | -1): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  bits[0] += by;
  return new Float32Array(bits.buffer)[0];
}

describe.each(DECODED)('format $name', (format, digest, overflow) => {
  const values = decode(format, allCodes(format));
  const positive = values.slice(0, values.length / 2).filter(Number.isFinite);

  it('decodes every code to its published number', () => {
    const bits = new Uint32Array(values.buffer).map((word, i) => (Number.isNaN(values[i]) ? 0x7fc0_0000 : word));
    expect(createHash('sha256').update(bits).digest('hex')).toBe(digest);
  });

  it('gives back every code that is a number', () => {
    const codes = new Uint8Array(allCodes(format).length);
    format.encode(values, codes);
    const again = decode(format, codes);
    expect(again.every((value, i) => Object.is(value, values[i]))).toBe(true);
  });

  it('rounds to the nearest value, ties to the even code, in every gap', () => {
    const wanted: number[] = [];
    const given: number[] = [];
    const add = (x: number, rounded: number): void => {
      given.push(x, -x);
      wanted.push(rounded, -rounded);
    };
    for (let code = 0; code + 1 < positive.length; code++) {
      const [low, high] = [positive[code], positive[code + 1]];
      const middle = (low + high) / 2;
      add(middle, code % 2 === 0 ? low : high);
      add(step(middle, -1), low);
      add(step(middle, 1), high);
    }
    expect(round(format, given).every((value, i) => Object.is(value, wanted[i]))).toBe(true);
  });

  it('keeps NaN, and infinity where it has one', () => {
    const largest = positive.at(-1)!;
    const half = (largest - positive.at(-2)!) / 2;
    expect([...round(format, [NaN, Infinity, -Infinity, step(largest + half, -1), largest + half])]).toEqual([
      NaN,
      overflow,
      -overflow,
      largest,
      format === f8E4m3 ? largest : overflow,
    ]);
  });
});
