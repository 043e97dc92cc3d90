import { type Place, SharedMemories, SharedMemory } from './memory.ts';
import { type Job, Threads } from './threads.ts';

/** Bytes of weights that a thread takes at a time: enough for long reads, little enough to share evenly. */
const CHUNK = 2 ** 17;
/** Multiplications from which a batched product is worth waking the others for. */
const WORTH_SHARING = 2 ** 17;

/** Rounded up to cache lines, of which each is then written from one side only. */
const wholeLines = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** A matrix that lies in shared memory. */
export interface PlacedMatrix {
  readonly place: Place;
  readonly dtype: 'f32' | 'bf16';
}

/**
 * Products of few rows on the CPU: WebAssembly SIMD on all threads, reading the weights where they lie. Products of one
 * row only read memory, so the measure is its bandwidth.
 */
export class CpuKernels {
  readonly memories: SharedMemories;
  readonly #threads: Threads;

  /** For what is done to activations alone. */
  readonly #own = new SharedMemory();

  constructor(threads?: number) {
    this.#threads = new Threads(threads);
    this.memories = new SharedMemories(this.#threads);
    this.#threads.share(this.#own.id, this.#own.memory);
  }

  get threads(): number {
    return this.#threads.count;
  }

  /** `x W^T`: rows of `K` numbers by a `[N, K]` matrix; undefined where there is no memory for the operands. */
  linear({ place, dtype }: PlacedMatrix, x: Float32Array, N: number, K: number): Float32Array | undefined {
    const M = x.length / K;
    const rowBytes = K * (dtype === 'bf16' ? 2 : 4);
    return this.#run(place.memory, [x], M * N, ([input], output) => ({
      kernel: dtype === 'bf16' ? 'linearBf16' : 'linearF32',
      memory: place.memory.id,
      numbers: [place.address, input, output, K, N, M],
      units: N,
      step: Math.max(1, Math.min(Math.round(CHUNK / rowBytes), Math.ceil(N / (4 * this.threads)))),
    }));
  }

  /** `[batch, M, N]` of `a` `[batch, M, K]` and an f32 store of `[batch, K, N]`, or `[batch, N, K]` with `transposeB`. */
  multiply(
    a: Float32Array,
    store: Place,
    { batch, M, K, N, transposeB }: { batch: number; M: number; K: number; N: number; transposeB: boolean },
  ): Float32Array | undefined {
    const rows = batch * M;
    const parts = rows * K * N < WORTH_SHARING ? 1 : rows;
    return this.#run(store.memory, [a], rows * N, ([input], output) => ({
      kernel: transposeB ? 'dotsF32' : 'mixesF32',
      memory: store.memory.id,
      numbers: [store.address, input, output, K, N, M],
      units: rows,
      step: Math.ceil(rows / parts),
    }));
  }

  /** Softmax of rows of `width`; -Infinity gives 0. */
  softmax(x: Float32Array, width: number): Float32Array | undefined {
    const rows = x.length / width;
    return this.#run(this.#own, [x], x.length, ([input], output) => ({
      kernel: 'softmaxF32',
      memory: this.#own.id,
      numbers: [input, 0, output, width, 0, 0],
      units: rows,
      step: Math.max(1, Math.ceil(WORTH_SHARING / 8 / width)),
    }));
  }

  /** `silu(gate) * up` */
  swiglu(gate: Float32Array, up: Float32Array): Float32Array | undefined {
    return this.#run(this.#own, [gate, up], gate.length, ([g, u], output) => ({
      kernel: 'swigluF32',
      memory: this.#own.id,
      numbers: [g, u, output, 0, 0, 0],
      units: Math.ceil(gate.length / 4),
      step: WORTH_SHARING / 32,
    }));
  }

  /** Puts the operands beside what they are multiplied with, runs the job and takes the result out. */
  #run(
    memory: SharedMemory,
    operands: readonly Float32Array[],
    results: number,
    job: (inputs: readonly number[], output: number) => Job,
  ): Float32Array | undefined {
    const sizes = operands.map(({ length }) => wholeLines(length * 4));
    const scratch = memory.scratch(sizes.reduce((sum, size) => sum + size, wholeLines(results * 4)));
    if (scratch === undefined) return undefined;
    let end = scratch.address;
    const inputs = operands.map((operand, i) => {
      const address = end;
      memory.floats(address, operand.length).set(operand);
      end += sizes[i];
      return address;
    });
    this.#threads.run(job(inputs, end));
    return memory.floats(end, results).slice();
  }
}
