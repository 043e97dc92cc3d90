// A worker thread that reads memory when asked to, and answers with the number of bytes read.
import { parentPort, workerData } from 'node:worker_threads';

/** Bytes read in one round. */
const ROUND = 64 * 2 ** 20;

const { bytes } = workerData as { bytes: number };
const [a, b] = [1, 1].map((fill) => Buffer.alloc(bytes / 2, fill));
const step = Math.min(ROUND / 2, a.length);
let at = 0;
parentPort!.on('message', () => {
  for (let read = 0; read < ROUND; read += 2 * step, at = (at + step) % a.length)
    if (a.compare(b, at, at + step, at, at + step) !== 0) throw new Error('The buffers differ.');
  parentPort!.postMessage(ROUND);
});
