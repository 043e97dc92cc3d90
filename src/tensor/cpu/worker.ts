// A thread of the pool: waits for jobs and takes its share of each.
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { instantiate, type Kernels, WORD, work } from './control.ts';
import type { WasmMemory, WasmModule } from './wasm.ts';

/** The data that a thread of the pool starts with. */
export interface WorkerData {
  readonly control: Int32Array;
  readonly module: WasmModule;
}

/** A memory that jobs may name from now on; without `memory`, one that they no longer will. */
export interface MemoryMessage {
  readonly id: number;
  readonly memory?: WasmMemory;
}

/** Spinning catches the next product of the same token; between tokens, and while others compute, a worker sleeps. */
const SPIN_MS = 2;

const { control, module } = workerData as WorkerData;
const port = parentPort as unknown as MessagePort;
const memories = new Map<number, Kernels>();

let last = 0;
for (;;) {
  const job = nextJob(last);
  last = job;
  Atomics.add(control, WORD.ACTIVE, 1);
  if (Atomics.load(control, WORD.OPEN) === job) {
    if (!memories.has(control[WORD.MEMORY])) receiveMemories();
    if (memories.has(control[WORD.MEMORY])) work(control, memories);
  }
  Atomics.sub(control, WORD.ACTIVE, 1);
}

/** Waits for a job other than `last`. */
function nextJob(last: number): number {
  for (;;) {
    const signal = Atomics.load(control, WORD.SIGNAL);
    const start = performance.now();
    do {
      for (let i = 0; i < 200; i++) {
        const job = Atomics.load(control, WORD.OPEN);
        if (job !== 0 && job !== last) return job;
      }
    } while (performance.now() - start < SPIN_MS);
    receiveMemories();
    Atomics.add(control, WORD.SLEEPING, 1);
    Atomics.wait(control, WORD.SIGNAL, signal);
    Atomics.sub(control, WORD.SLEEPING, 1);
  }
}

/** The event loop never turns here, so messages are fetched. */
function receiveMemories(): void {
  for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) {
    const { id, memory } = received.message as MemoryMessage;
    if (memory) memories.set(id, instantiate(module, memory));
    else memories.delete(id);
  }
}
