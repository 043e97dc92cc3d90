import { describe, expect, test } from 'vitest';
import { SharedMemory } from '../../../src/tensor/cpu/shared-memory.ts';

describe('a shared memory', () => {
  test('hands out places on 64-byte borders that do not overlap', () => {
    const memory = new SharedMemory();
    const places = [1, 64, 65, 100_000, 3].map((bytes) => memory.allocate(bytes)!);
    expect(places.every(({ address }) => address > 0 && address % 64 === 0)).toBe(true);
    places.forEach((place, i) => memory.view(place).fill(i + 1));
    places.forEach((place, i) => {
      expect(memory.view(place).every((byte) => byte === i + 1)).toBe(true);
    });
  });

  test('uses again what was given back, also of neighbours together', () => {
    const memory = new SharedMemory();
    const [first, second, third] = [1000, 2000, 3000].map((bytes) => memory.allocate(bytes)!);
    const end = memory.allocate(64)!;
    for (const place of [first, third, second]) memory.release(place);
    expect(memory.allocate(5900)!.address).toBe(first.address);
    expect(memory.allocate(64)!.address).toBeLessThan(end.address);
  });

  test('does not grow when the same sizes come and go', () => {
    const memory = new SharedMemory();
    const cycle = (): void => {
      const places = [70_000, 200_000, 5].map((bytes) => memory.allocate(bytes)!);
      for (const place of [places[1], places[0], places[2]]) memory.release(place);
    };
    cycle();
    const { bytes } = memory;
    for (let i = 0; i < 1000; i++) cycle();
    expect(memory.bytes).toBe(bytes);
    expect(memory.empty).toBe(true);
  });

  test('grows and keeps what is in it', () => {
    const memory = new SharedMemory();
    const place = memory.allocate(10)!;
    memory.view(place).set([1, 2, 3]);
    expect(memory.allocate(2 ** 24)).toBeDefined();
    expect([...memory.view(place).subarray(0, 3)]).toEqual([1, 2, 3]);
  });

  test('keeps room for kernels when it is full of weights', () => {
    const memory = new SharedMemory();
    let places = 0;
    while (memory.allocate(2 ** 28 - 64) !== undefined) places++;
    expect(places).toBe(15);
    while (memory.allocate(2 ** 22) !== undefined) places++;
    expect(memory.scratch('panel', 2 ** 23)).toBeDefined();
    expect(memory.scratch('operands', 2 ** 25)).toBeDefined();
    expect(memory.allocate(2 ** 22)).toBeUndefined();
  });

  test('refuses more than a 32-bit address reaches', () => {
    expect(new SharedMemory().allocate(2 ** 32)).toBeUndefined();
  });
});
