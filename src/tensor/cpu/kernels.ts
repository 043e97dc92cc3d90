import { type Place, SharedMemories, type SharedMemory } from './shared-memory.ts';
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

/** A packed matrix whose codes lie in shared memory; see `formats/packed.ts`. */
export interface PlacedCodes {
  /** `[N, K]` codes, row-major. */
  readonly codes: Place;
  /** A factor for each block of each row: E8M0 bytes for 32 columns (`mxfp4`), f32 for 128 (`fp8`). */
  readonly factors: Uint8Array | Float32Array;
  readonly format: 'mxfp4' | 'fp8';
}

/** In each 32 numbers, those of even place and then those of odd place: a byte of MXFP4 holds one of each. */
function evenColumnsFirst(x: Float32Array): Float32Array {
  const out = new Float32Array(x.length);
  for (let group = 0; group < x.length; group += 32) {
    for (let i = 0; i < 16; i++) {
      out[group + i] = x[group + 2 * i];
      out[group + 16 + i] = x[group + 2 * i + 1];
    }
  }
  return out;
}

/**
 * Products of few rows on the CPU: WebAssembly SIMD on all threads, reading the weights where they lie. Products of one
 * row only read memory, so the measure is its bandwidth.
 */
export class CpuKernels {
  readonly memories: SharedMemories;
  readonly #threads: Threads;

  /** @param own What `newSharedMemory` gave. */
  constructor(own: SharedMemory, threads?: number) {
    this.#threads = new Threads(threads);
    this.memories = new SharedMemories(this.#threads, own);
  }

  get threads(): number {
    return this.#threads.count;
  }

  /** `x W^T`: rows of `K` numbers by a `[N, K]` matrix; undefined where there is no memory for the operands. */
  linear({ place, dtype }: PlacedMatrix, x: Float32Array, N: number, K: number): Float32Array | undefined {
    const M = x.length / K;
    return this.#run(place.memory, [x], M * N, ([input], output) => ({
      kernel: dtype === 'bf16' ? 'linearBf16' : 'linearF32',
      memory: place.memory.id,
      numbers: [place.address, 0, input, output, K, N, M],
      units: N,
      step: this.#rowsAtATime(N, K * (dtype === 'bf16' ? 2 : 4)),
    }));
  }

  /** `[batch, M, N]` of `a` `[batch, M, K]` and an f32 store of `[batch, K, N]`, or `[batch, N, K]` with `transposeB`. */
  multiply(
    a: Float32Array,
    store: Place,
    { batch, M, K, N, transposeB }: { batch: number; M: number; K: number; N: number; transposeB: boolean },
  ): Float32Array | undefined {
    const rows = batch * M;
    return this.#run(store.memory, [a], rows * N, ([input], output) => ({
      kernel: transposeB ? 'dotsF32' : 'mixesF32',
      memory: store.memory.id,
      numbers: [store.address, 0, input, output, K, N, M],
      units: rows,
      step: rows * K * N < WORTH_SHARING ? rows : 1,
    }));
  }

  /** Softmax of rows of `width`; -Infinity gives 0. */
  softmax(x: Float32Array, width: number): Float32Array | undefined {
    const rows = x.length / width;
    return this.#run(this.memories.own, [x], x.length, ([input], output) => ({
      kernel: 'softmaxF32',
      memory: this.memories.own.id,
      numbers: [input, 0, 0, output, width, 0, 0],
      units: rows,
      step: Math.ceil(WORTH_SHARING / 64 / width),
    }));
  }

  /** `silu(gate) * up` */
  swiglu(gate: Float32Array, up: Float32Array): Float32Array | undefined {
    return this.#run(this.memories.own, [gate, up], gate.length, ([g, u], output) => ({
      kernel: 'swigluF32',
      memory: this.memories.own.id,
      numbers: [g, u, 0, output, 0, 0, 0],
      units: Math.ceil(gate.length / 4),
      step: WORTH_SHARING / 32,
    }));
  }

  /** `W x` of a packed `[N, K]` matrix and `K` numbers; undefined where there is no memory for the operands. */
  linearPacked({ codes, factors, format }: PlacedCodes, x: Float32Array, N: number): Float32Array | undefined {
    const K = x.length;
    const values = format === 'mxfp4' ? evenColumnsFirst(x) : x;
    return this.#run(codes.memory, [factors, values], N, ([f, input], output) => ({
      kernel: format === 'mxfp4' ? 'linearMxfp4' : 'linearFp8',
      memory: codes.memory.id,
      numbers: [codes.address, f, input, output, K, 0, 0],
      units: N,
      step: this.#rowsAtATime(N, codes.bytes / N),
    }));
  }

  /**
   * The numbers of the rows `first` to `first + rows` of a packed matrix of `K` columns, f32, in a place that is valid until
   * the next call; undefined where there is no memory for it.
   */
  decodePacked({ codes, factors, format }: PlacedCodes, first: number, rows: number, K: number): Place | undefined {
    const { memory } = codes;
    const panel = memory.scratch('panel', rows * K * 4);
    if (panel === undefined) return undefined;
    const done = this.#run(memory, [factors], 0, ([f]) => ({
      kernel: format === 'mxfp4' ? 'decodeMxfp4' : 'decodeFp8',
      memory: memory.id,
      numbers: [codes.address, f, 0, panel.address, K, first, 0],
      units: rows,
      step: this.#rowsAtATime(rows, 4 * K),
    }));
    return done && panel;
  }

  /** Rows that a thread takes at a time, of `rowBytes` each. */
  #rowsAtATime(rows: number, rowBytes: number): number {
    return Math.max(1, Math.min(Math.round(CHUNK / rowBytes), Math.ceil(rows / (4 * this.threads))));
  }

  /** Puts the operands beside what they are multiplied with, runs the job and takes the result out. */
  #run(
    memory: SharedMemory,
    operands: readonly (Float32Array | Uint8Array)[],
    results: number,
    job: (inputs: readonly number[], output: number) => Job,
  ): Float32Array | undefined {
    const sizes = operands.map(({ byteLength }) => wholeLines(byteLength));
    const scratch = memory.scratch('operands', sizes.reduce((sum, size) => sum + size, wholeLines(results * 4))); // prettier-ignore
    if (scratch === undefined) return undefined;
    let end = scratch.address;
    const inputs = operands.map((operand, i) => {
      const address = end;
      const bytes = memory.view({ memory, address, bytes: operand.byteLength });
      bytes.set(new Uint8Array(operand.buffer, operand.byteOffset, operand.byteLength));
      end += sizes[i];
      return address;
    });
    this.#threads.run(job(inputs, end));
    return memory.floats(end, results).slice();
  }
}
