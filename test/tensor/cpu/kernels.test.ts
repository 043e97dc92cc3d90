import { expect, test } from 'vitest';
import { CpuKernels } from '../../../src/tensor/cpu/kernels.ts';
import { newSharedMemory } from '../../../src/tensor/cpu/shared-memory.ts';

const kernels = new CpuKernels(newSharedMemory()!, 3);

/** A `[N, K]` f32 matrix in shared memory whose row n is n + 1 in the first column and 1 in the others. */
function matrix(N: number, K: number) {
  const place = kernels.memories.allocate(N * K * 4)!;
  const values = place.memory.floats(place.address, N * K).fill(1);
  for (let n = 0; n < N; n++) values[n * K] = n + 1;
  return { place, dtype: 'f32' as const };
}

test('every row of every job is done once, whoever does it, in a long run of jobs of all sizes', () => {
  const K = 40;
  const large = matrix(5000, K);
  const x = new Float32Array(K).fill(1);
  for (let job = 0; job < 3000; job++) {
    const N = 1 + ((job * 7919) % 5000);
    const y = kernels.linear(large, x, N, K)!;
    expect(y.length).toBe(N);
    const wrong = y.findIndex((value, n) => value !== n + K);
    expect(wrong, `job ${job} of ${N} rows`).toBe(-1);
  }
});

test('workers that sleep are woken', async () => {
  const K = 64;
  const large = matrix(4000, K);
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const y = kernels.linear(large, new Float32Array(K).fill(1), 4000, K)!;
    expect(y[3999]).toBe(3999 + K);
  }
});

test('large memories go when they are empty, and the others stay', () => {
  const before = kernels.memories.count;
  const [a, b] = [2 ** 31, 2 ** 31].map((bytes) => kernels.memories.allocate(bytes)!);
  expect(kernels.memories.count).toBeGreaterThan(before);
  expect(a.memory).not.toBe(b.memory);
  const small = matrix(8, 16);
  kernels.memories.release(a);
  kernels.memories.release(b);
  expect(kernels.linear(small, new Float32Array(16).fill(1), 8, 16)!.length).toBe(8);
  expect(kernels.memories.count).toBeLessThanOrEqual(before + 1);
});

test('softmax keeps a NaN, and gives 0 for a score of minus infinity', () => {
  const [row] = [kernels.softmax(Float32Array.of(0, -Infinity, 0, -Infinity), 4)!];
  expect([...row]).toEqual([0.5, 0, 0.5, 0]);
  expect(kernels.softmax(Float32Array.of(0, NaN, 0), 3)!.every(Number.isNaN)).toBe(true);
});

test.each([-90, -87.4, -87, -1e-3, 0, 1, 5, 88])('swiglu is right to f32 precision at %f', (gate) => {
  const [value] = kernels.swiglu(Float32Array.of(gate), Float32Array.of(1))!;
  const exact = gate / (1 + Math.exp(-gate));
  expect(Math.abs(value - exact)).toBeLessThanOrEqual(Math.max(3e-7 * Math.abs(exact), 2 ** -126 * 100));
});
