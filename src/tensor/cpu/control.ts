import { Wasm, type WasmMemory, type WasmModule } from './wasm.ts';

/**
 * The words that the threads of a pool share, in one Int32Array: which job is open, who works at it, how far it is.
 *
 * A job is a kernel, the memory that its addresses are in, seven arguments, and a number of units; threads take units from
 * `NEXT` until there are none. Whoever changes a job waits until nobody is `ACTIVE`, and a thread looks at `OPEN` again once
 * it has counted itself in, so nobody reads a job that is being written.
 */
export const WORD = {
  /** Number of the job that may be worked at; 0 while there is none. */
  OPEN: 0,
  /** Workers inside a job. */
  ACTIVE: 1,
  /** The first unit that nobody took. */
  NEXT: 2,
  /** Goes up with each job: what sleeping workers wait on. */
  SIGNAL: 3,
  SLEEPING: 4,
  KERNEL: 5,
  MEMORY: 6,
  UNITS: 7,
  /** Units taken at a time. */
  STEP: 8,
  ARGUMENTS: 9,
} as const;

/** Words of the control block. */
export const WORDS = 16;

/** The kernels, in the order of their numbers in a job. */
export const KERNELS = [
  'linearBf16',
  'linearF32',
  'dotsF32',
  'mixesF32',
  'softmaxF32',
  'swigluF32',
  'linearMxfp4',
  'decodeMxfp4',
  'linearFp8',
  'decodeFp8',
] as const;
/** The name of a kernel. */
export type KernelName = (typeof KERNELS)[number];

/** Four addresses and three sizes, whose meaning is the kernel's; then the units to do, `from..to`. */
export type Kernel = (...numbers: [...arguments_: Arguments, from: number, to: number]) => void;
/** Four addresses and three sizes. */
export type Arguments = [number, number, number, number, number, number, number];
/** The kernels of an instance. */
export type Kernels = Record<KernelName, Kernel>;

/** An instance of the module on a memory. */
export const instantiate = (module: WasmModule, memory: WasmMemory): Kernels =>
  new Wasm.Instance(module, { env: { memory } }).exports as Kernels;

/** Takes units of the open job until there are none. */
export function work(control: Int32Array, memories: ReadonlyMap<number, Kernels>): void {
  const kernels = memories.get(control[WORD.MEMORY])!;
  const kernel = kernels[KERNELS[control[WORD.KERNEL]]];
  const [a, b, c, d, e, f, g] = control.subarray(WORD.ARGUMENTS);
  const units = control[WORD.UNITS];
  const step = control[WORD.STEP];
  for (;;) {
    const from = Atomics.add(control, WORD.NEXT, step);
    if (from >= units) return;
    // Addresses reach up to 4 GiB: as unsigned numbers.
    kernel(a >>> 0, b >>> 0, c >>> 0, d >>> 0, e, f, g, from, Math.min(from + step, units));
  }
}
