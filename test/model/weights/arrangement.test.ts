import { describe, expect, it } from 'vitest';
import { type Arrangement, plus, rows, transposed } from '../../../src/model/weights/arrangement.ts';

/** Arranges the numbers of a stored tensor; the result has the shape `wanted`. */
function arranged(arrangement: Arrangement, stored: Float32Array | Uint16Array, wanted: number[]): number[] {
  const target = new (stored.constructor as typeof Uint16Array)(wanted.reduce((a, b) => a * b));
  const bytes = (array: Float32Array | Uint16Array): Uint8Array<ArrayBuffer> =>
    new Uint8Array(array.buffer as ArrayBuffer);
  arrangement.arrange(bytes(stored), bytes(target), wanted, stored.BYTES_PER_ELEMENT);
  return [...target];
}

describe('arrangements', () => {
  it.each([
    [2, 3],
    [1, 5],
    [33, 70],
    [64, 32],
  ])('transposed: [in, out] becomes [%i, %i], in 2 and 4 bytes', (out, size) => {
    expect(transposed.storedShape([out, size])).toEqual([size, out]);
    const stored = Array.from({ length: out * size }, (_, i) => i);
    const expected = stored.map((_, i) => (i % size) * out + Math.floor(i / size));
    for (const Numbers of [Float32Array, Uint16Array])
      expect(arranged(transposed, new Numbers(stored), [out, size])).toEqual(expected);
  });

  it('transposed leaves a bias as it is', () => {
    expect(transposed.storedShape([3])).toEqual([3]);
    expect(arranged(transposed, Float32Array.of(1, 2, 3), [3])).toEqual([1, 2, 3]);
  });

  it('rows come in the order asked for, of matrices and of biases', () => {
    const order = rows(Int32Array.of(2, 0, 1));
    expect(order.storedShape([3, 2])).toEqual([3, 2]);
    expect(arranged(order, Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2])).toEqual([5, 6, 1, 2, 3, 4]);
    expect(arranged(order, Float32Array.of(1, 2, 3), [3])).toEqual([3, 1, 2]);
  });

  it('rows may be a part of the stored tensor', () => {
    const odd = rows(Int32Array.of(1, 3), 4);
    expect(odd.storedShape([2, 2])).toEqual([4, 2]);
    expect(arranged(odd, Uint16Array.of(1, 2, 3, 4, 5, 6, 7, 8), [2, 2])).toEqual([3, 4, 7, 8]);
  });

  it('rows of two bytes may lie anywhere in memory', () => {
    const [stored, target] = [
      [9, 1, 2, 3],
      [0, 0, 0, 0],
    ].map((numbers) => Uint16Array.from(numbers));
    const behindFirst = ({ buffer }: Uint16Array): Uint8Array => new Uint8Array(buffer, 2);
    rows(Int32Array.of(2, 0, 1)).arrange(behindFirst(stored), behindFirst(target), [3, 1], 2);
    expect([...target]).toEqual([0, 3, 1, 2]);
  });

  it('plus adds in f32', () => {
    expect(plus(1).storedShape([3])).toEqual([3]);
    expect(arranged(plus(1), Float32Array.of(0, -0.5, 2 ** -20), [3])).toEqual([1, 0.5, 1 + 2 ** -20]);
  });
});
