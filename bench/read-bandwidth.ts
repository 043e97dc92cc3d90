import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

/** Bytes that each thread reads at a time: far beyond any cache. */
const CHUNK = 512 * 2 ** 20;
const ROUNDS = 5;

/**
 * Bytes per second that all cores together can read from memory: the best of a few rounds in which each of them compares
 * two equal buffers, which is the plainest thing that JavaScript does at the speed of memory.
 */
export async function readBandwidth(): Promise<number> {
  const readers = await Promise.all(Array.from({ length: availableParallelism() }, startReader));
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await Promise.all(readers.map(read));
    best = Math.max(best, (readers.length * CHUNK) / ((performance.now() - start) / 1000));
  }
  await Promise.all(readers.map((reader) => reader.terminate()));
  return best;
}

async function startReader(): Promise<Worker> {
  const reader = new Worker(new URL(import.meta.url));
  await read(reader);
  return reader;
}

const read = (reader: Worker): Promise<void> =>
  new Promise((resolve, reject) => {
    reader.once('message', () => {
      resolve();
    });
    reader.once('error', reject);
    reader.postMessage('read');
  });

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const [a, b] = [1, 1].map((fill) => Buffer.alloc(CHUNK / 2, fill));
  port.on('message', () => {
    port.postMessage(a.equals(b));
  });
}
