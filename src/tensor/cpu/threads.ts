import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Arguments, instantiate, type KernelName, KERNELS, type Kernels, WORD, WORDS, work } from './control.ts';
import { kernelRuns } from '../trace.ts';
import { Wasm, type WasmMemory } from './wasm.ts';
import type { MemoryMessage, WorkerData } from './worker.ts';

/** A job for all threads: a kernel of `assembly/`, its addresses and sizes, and how it falls into units. */
export interface Job {
  readonly kernel: KernelName;
  /** The memory that the addresses are in. */
  readonly memory: number;
  readonly numbers: Arguments;
  readonly units: number;
  /** Units that a thread takes at a time. */
  readonly step: number;
}

/**
 * A piece takes some 10 us, so whoever is waited for longer than this is off its core, and will be again: for a while the
 * calling thread then works alone, which loses less than waiting for a time slice in each job.
 */
const STALL_MS = 0.5;
const ALONE_MS = 30;

const built = (name: string): URL => new URL(`../../../dist/tensor/cpu/${name}`, import.meta.url);

/**
 * The calling thread and workers that share jobs with it. `run` is synchronous and waits only for pieces that were begun,
 * so a worker that starts late costs its share and no more. Workers do not keep the process alive.
 */
export class Threads {
  readonly count: number;
  readonly #control = new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
  readonly #module = new Wasm.Module(readFileSync(built('kernels.wasm')));
  readonly #workers: readonly Worker[];
  readonly #memories = new Map<number, Kernels>();
  #job = 0;
  #aloneUntil = 0;

  /** @param count Threads, the calling one included; default: as many as the machine has cores. */
  constructor(count = availableParallelism()) {
    this.count = count;
    const data: WorkerData = { control: this.#control, module: this.#module };
    this.#workers = Array.from({ length: count - 1 }, () => {
      const worker = new Worker(built('worker.js'), { workerData: data, execArgv: [] });
      worker.unref();
      return worker;
    });
  }

  /** Makes a memory known by a number. */
  share(id: number, memory: WasmMemory): void {
    this.#memories.set(id, instantiate(this.#module, memory));
    this.#tell({ id, memory });
  }

  /** No job will name this memory any more. */
  forget(id: number): void {
    this.#memories.delete(id);
    this.#tell({ id });
    this.#wake();
  }

  run({ kernel, memory, numbers, units, step }: Job): void {
    kernelRuns('WebAssembly', kernel);
    if (units <= step || this.count === 1 || performance.now() < this.#aloneUntil) {
      this.#memories.get(memory)![kernel](...numbers, 0, units);
      return;
    }
    const control = this.#control;
    control[WORD.KERNEL] = KERNELS.indexOf(kernel);
    control[WORD.MEMORY] = memory;
    control[WORD.UNITS] = units;
    control[WORD.STEP] = step;
    control.set(numbers, WORD.ARGUMENTS);
    Atomics.store(control, WORD.NEXT, 0);
    this.#job = (this.#job + 1) & 0x3fff_ffff || 1;
    Atomics.store(control, WORD.OPEN, this.#job);
    this.#wake();
    try {
      work(control, this.#memories);
    } finally {
      Atomics.store(control, WORD.OPEN, 0);
      if (Atomics.load(control, WORD.ACTIVE) > 0) this.#awaitOthers();
    }
  }

  #awaitOthers(): void {
    const start = performance.now();
    while (Atomics.load(this.#control, WORD.ACTIVE) > 0);
    const end = performance.now();
    if (end - start > STALL_MS) this.#aloneUntil = end + ALONE_MS;
  }

  #wake(): void {
    Atomics.add(this.#control, WORD.SIGNAL, 1);
    if (Atomics.load(this.#control, WORD.SLEEPING) > 0) Atomics.notify(this.#control, WORD.SIGNAL);
  }

  #tell(message: MemoryMessage): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }
}
