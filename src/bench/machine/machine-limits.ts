import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { VitrineError } from '../../errors.ts';
import type { Backend } from '../../tensor/backend.ts';
import { BACKEND_NAMES, type BackendName, createBackend, isReference } from '../../tensor/backends.ts';
import { matmul } from '../../tensor/reference/matmul.ts';
import { scope } from '../../tensor/scope.ts';
import { Tensor } from '../../tensor/tensor.ts';

/** The highest rates of a machine with some number of threads, as far as this runtime reaches them. */
export interface Limits {
  readonly threads: number;
  /** Bytes per second, read from memory. */
  readonly memory: number;
  /** Bytes per second, read from the cores' caches. */
  readonly cache: number;
  /** Floating-point operations per second, by the fastest product of large matrices. */
  readonly flops: number;
  /** The backend and dtype of that product. */
  readonly product: string;
}

type ProductRate = Pick<Limits, 'flops' | 'product'>;

/** Bytes that each thread reads over and over to measure memory: far more than any cache. */
const FROM_MEMORY = 256 * 2 ** 20;
/** Bytes that each thread reads over and over to measure its cache: within the second level of most processors. */
const FROM_CACHE = 128 * 2 ** 10;
/** Rounds of some 5 ms: of so many, some fall between the time slices of other processes. */
const ROUNDS = 60;
/** Rows and columns of the product: its operands fit in the last-level cache, and each number is used hundreds of times. */
const SIDE = 768;
const PRODUCTS = 200;
const LEAST_PRODUCTS = 5;

/**
 * Measures the limits: the best of many short rounds, since every disturbance makes a machine slower. Takes some 3 seconds.
 *
 * @param threads Default: all cores
 * @param effort The part of the usual time to spend, from 0 to 1
 */
export async function measureLimits(threads: number = availableParallelism(), effort = 1): Promise<Limits> {
  const rounds = Math.ceil(ROUNDS * effort);
  const memory = await readBandwidth(threads, FROM_MEMORY, rounds);
  const cache = await readBandwidth(threads, FROM_CACHE, rounds);
  return { threads, memory, cache, ...fastestProduct(threads, 1000 * effort) };
}

/** Bytes per second that so many threads together read from memory. Default: all cores. */
export const memoryBandwidth = (threads: number = availableParallelism()): Promise<number> =>
  readBandwidth(threads, FROM_MEMORY, ROUNDS);

/** Bytes per second that threads together read by comparing equal buffers, the plainest loop at the speed of memory. */
async function readBandwidth(threads: number, bytes: number, rounds: number): Promise<number> {
  const program = new URL('../../../dist/bench/machine/memory-reader.js', import.meta.url);
  const readers = Array.from({ length: threads }, () => {
    const reader = new Worker(program, { workerData: { bytes } });
    return { reader, read: () => oneRound(reader) };
  });
  try {
    await Promise.all(readers.map(({ read }) => read()));
    let best = 0;
    for (let round = 0; round < rounds; round++) {
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
  const answered = once(reader, 'message'); // Rejects when the thread fails.
  reader.postMessage('read');
  const [bytes] = (await answered) as [number];
  return bytes;
}

function fastestProduct(threads: number, milliseconds: number): ProductRate {
  const backends = BACKEND_NAMES.filter((name) => !isReference(name));
  const candidates = [plainLoops(milliseconds), ...backends.flatMap((name) => productsOf(name, threads, milliseconds))];
  return candidates.reduce((best, next) => (next.flops > best.flops ? next : best));
}

function plainLoops(milliseconds: number): ProductRate {
  const side = SIDE / 8;
  const values = new Float32Array(side * side).fill(1);
  const sizes = { batch: 1, M: side, N: side, K: side, transposeB: true };
  return { flops: rate(side, () => matmul(values, values, sizes), milliseconds), product: 'plain loops' };
}

/** A backend's rate in each dtype that it multiplies fast; empty for a backend that cannot be used here. */
function productsOf(name: BackendName, threads: number, milliseconds: number): ProductRate[] {
  let backend: Backend;
  try {
    backend = createBackend(name, { threads });
  } catch (error) {
    if (error instanceof VitrineError) return [];
    throw error;
  }
  return (backend.multipliesBf16 ? (['f32', 'bf16'] as const) : (['f32'] as const)).map((dtype) =>
    scope('', () => {
      // A GPU needs a larger product to reach its rate.
      const side = backend.queuesOps ? 4 * SIDE : SIDE;
      const values = Tensor.from(backend, new Float32Array(side * side).fill(1), [side, side]).cast(dtype);
      const multiply = (): void => {
        scope('', () => {
          const product = values.matmul(values, { transposeB: true });
          if (backend.queuesOps) product.slice([0, 0], [1, 1]).cast('f32').data();
        });
      };
      return { flops: rate(side, multiply, milliseconds), product: `${name} ${dtype}` };
    }),
  );
}

/** Operations per second of the fastest of several products of square matrices. */
function rate(side: number, multiply: () => unknown, milliseconds: number): number {
  multiply();
  let best = Infinity;
  const begin = performance.now();
  for (let i = 0; i < LEAST_PRODUCTS || (i < PRODUCTS && performance.now() - begin < milliseconds); i++) {
    const start = performance.now();
    multiply();
    best = Math.min(best, performance.now() - start);
  }
  return (2 * side ** 3) / (best / 1000);
}

/** The better of two measurements of the same limits, in each figure. */
export const bestOf = (a: Limits, b: Limits): Limits => ({
  threads: a.threads,
  memory: Math.max(a.memory, b.memory),
  cache: Math.max(a.cache, b.cache),
  ...(a.flops >= b.flops ? { flops: a.flops, product: a.product } : { flops: b.flops, product: b.product }),
});
