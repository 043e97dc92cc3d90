import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { matmul } from '../tensor/reference/matmul.ts';
import { scope } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { VitrineError } from '../errors.ts';
import { backendOf } from './engine-variants.ts';

/** What a machine can do with so many threads at most, as far as this runtime gets there. */
export interface Limits {
  readonly threads: number;
  /** Bytes per second, read from memory. */
  readonly memory: number;
  /** Bytes per second, read from the caches of the cores. */
  readonly cache: number;
  /** Floating-point operations per second: the fastest product of large matrices that there is here. */
  readonly flops: number;
  /** What did that product. */
  readonly product: string;
}

/** Bytes that each thread goes through: far beyond any cache, and within the second level of most. */
const FROM_MEMORY = 256 * 2 ** 20;
const FROM_CACHE = 128 * 2 ** 10;
/** Rounds take some 5 ms, and there are many: some fall between the time slices of other processes. */
const ROUNDS = 60;
/** Rows and columns of the product: its operands fit in the last cache, and each number is used hundreds of times. */
const SIDE = 768;

/** Measures them: the best of many short rounds, since whatever disturbs makes a machine slower. Takes some 3 seconds. */
export async function measureLimits(threads: number = availableParallelism()): Promise<Limits> {
  const [memory, cache] = [await memoryBandwidth(threads), await readBandwidth(threads, FROM_CACHE)];
  return { threads, memory, cache, ...fastestProduct(threads) };
}

/** Bytes per second that threads together can read from memory. */
export const memoryBandwidth = (threads: number = availableParallelism()): Promise<number> =>
  readBandwidth(threads, FROM_MEMORY);

/** Bytes per second that threads together read by comparing equal buffers: the plainest read at the speed of memory. */
async function readBandwidth(threads: number, bytes: number): Promise<number> {
  const readers = Array.from({ length: threads }, () => {
    const reader = new Worker(new URL('../../dist/bench/reader.js', import.meta.url), { workerData: { bytes } });
    return { reader, read: () => oneRound(reader) };
  });
  try {
    await Promise.all(readers.map(({ read }) => read()));
    let best = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      const read = await Promise.all(readers.map((one) => one.read()));
      const seconds = (performance.now() - start) / 1000;
      best = Math.max(best, read.reduce((sum, count) => sum + count, 0) / seconds);
    }
    return best;
  } finally {
    await Promise.all(readers.map(({ reader }) => reader.terminate()));
  }
}

/** Asks a reader for one round; gives the bytes that it read. */
async function oneRound(reader: Worker): Promise<number> {
  const answered = once(reader, 'message'); // Rejects where the thread fails.
  reader.postMessage('read');
  const [bytes] = (await answered) as [number];
  return bytes;
}

function fastestProduct(threads: number): { flops: number; product: string } {
  const candidates = [plainLoop(), ...tensorflowProducts(threads)];
  return candidates.reduce((best, next) => (next.flops > best.flops ? next : best));
}

function plainLoop(): { flops: number; product: string } {
  const side = SIDE / 8;
  const values = new Float32Array(side * side).fill(1);
  const sizes = { batch: 1, M: side, N: side, K: side, transposeB: true };
  return { flops: rate(side, () => matmul(values, values, sizes)), product: 'plain loops' };
}

function tensorflowProducts(threads: number): { flops: number; product: string }[] {
  let backend;
  try {
    backend = backendOf('tensorflow', threads);
  } catch (error) {
    if (error instanceof VitrineError) return []; // Not installed.
    throw error;
  }
  const waits = backend.description.includes('CUDA');
  return (backend.multipliesBf16 ? (['f32', 'bf16'] as const) : (['f32'] as const)).map((dtype) =>
    scope('', () => {
      const side = waits ? 4 * SIDE : SIDE;
      const values = Tensor.from(backend, new Float32Array(side * side).fill(1), [side, side]).cast(dtype);
      const multiply = (): void => {
        scope('', () => {
          const product = values.matmul(values, { transposeB: true });
          if (waits) product.slice([0, 0], [1, 1]).cast('f32').data();
        });
      };
      return { flops: rate(side, multiply), product: `TensorFlow ${dtype}` };
    }),
  );
}

/** Operations per second of the best of some products of square matrices. */
function rate(side: number, multiply: () => unknown): number {
  multiply();
  let best = Infinity;
  const begin = performance.now();
  for (let i = 0; i < 5 || (i < 200 && performance.now() - begin < 1000); i++) {
    const start = performance.now();
    multiply();
    best = Math.min(best, performance.now() - start);
  }
  return (2 * side ** 3) / (best / 1000);
}

/** The better of two measurements of the same limits: before and after whatever else was measured. */
export const bestOf = (a: Limits, b: Limits): Limits => ({
  threads: a.threads,
  memory: Math.max(a.memory, b.memory),
  cache: Math.max(a.cache, b.cache),
  ...(a.flops >= b.flops ? { flops: a.flops, product: a.product } : { flops: b.flops, product: b.product }),
});
