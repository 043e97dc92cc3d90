import type { DType } from './dtype.ts';
import type { PackedMatrix } from './formats/packed-format.ts';
import type { Shape } from './shape.ts';

/** An operand of a backend's op: a handle of that backend, read as `shape` and `dtype`. A `Tensor` is one. */
export interface Operand<Handle = unknown> {
  readonly handle: Handle;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Elementwise ops of two operands, f32; numpy's names and rules (`maximum` and `minimum` give NaN if one is NaN). */
export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum';
/** Elementwise ops of one operand, f32. */
export type UnaryOp = 'square' | 'sqrt' | 'exp' | 'log' | 'sigmoid' | 'tanh' | 'erf';
/** Ops that combine the numbers along an axis, f32. */
export type ReduceOp = 'sum' | 'mean' | 'max';
/** Floats in the host's memory: f64 only of the backend `reference-f64`. */
export type Floats = Float32Array | Float64Array;
/** Numbers in the host's memory: floats, i32 or u8. */
export type HostArray = Floats | Int32Array | Uint8Array;

/**
 * The op contract: every op that a backend must have.
 *
 * `Tensor` checks shapes and dtypes before it calls an op, and each op gives a new handle, which the caller frees.
 * Arithmetic is on f32; `matmul` also multiplies bf16. `reference/` is the definition of each op, and
 * `test/tensor/conformance.test.ts` holds every backend to it.
 */
export interface Backend {
  /** Its name in the list of backends: see `backends.ts`. */
  readonly name: string;
  /** The device, library version and threads, for people to read. */
  readonly description: string;
  /** The number of threads that its kernels use. */
  readonly threads: number;
  /** The number of handles that are not freed yet, by the backend's own count. */
  liveHandles(): number;

  /** Host memory for a weight: `upload` takes it over, without a copy where the backend can, or `discard` gives it back. */
  allocate(bytes: number): Uint8Array;
  /** Gives back memory of `allocate` that no `upload` took over. */
  discard(bytes: Uint8Array): void;
  /** A handle of `bytes` (row-major, little-endian), which it takes over: the caller must not write to them afterwards. */
  upload(bytes: Uint8Array, shape: Shape, dtype: DType): unknown;
  /** Where floats are held in f64: a handle of a copy of `values`, which are f32 to all others. */
  readonly uploadFloats?: ((values: ArrayLike<number>, shape: Shape) => unknown) | undefined;
  /** A copy of the numbers: for every float dtype f32 (or f64, where floats are held so), i32, or u8. */
  download(a: Operand): HostArray;
  /** The numbers themselves, where JavaScript reads them without an op; not to be written to. For debuggers: see `summary`. */
  peek(handle: unknown): HostArray | undefined;
  /** Frees a handle that an op gave. */
  free(handle: unknown): void;

  /** `[..., M, N]` from `[..., M, K]` and `[..., K, N]`, or `[..., N, K]` with `transposeB`; result in the operands' dtype. */
  matmul(a: Operand, b: Operand, transposeB: boolean): unknown;
  /** Elementwise f32 with numpy broadcasting. */
  binary(op: BinaryOp, a: Operand, b: Operand): unknown;
  /** Elementwise f32. */
  unary(op: UnaryOp, a: Operand): unknown;
  /** Reduces one axis, which stays with size 1; f32. */
  reduce(op: ReduceOp, a: Operand, axis: number): unknown;
  /** Softmax over the last axis, f32; an element of -Infinity gives 0. */
  softmax(a: Operand): unknown;
  /** Slices of `a` along `axis` at `indices` (i32, one axis), which are within the axis. */
  gather(a: Operand, indices: Operand, axis: number): unknown;
  /** Joins operands of one dtype along `axis`. */
  concat(parts: readonly Operand[], axis: number): unknown;
  /** A copy of the box of `size` that starts at `begin`. */
  slice(a: Operand, begin: Shape, size: Shape): unknown;
  /** Copies of the pieces of `sizes` along `axis`; one handle each. */
  split(a: Operand, sizes: readonly number[], axis: number): unknown[];
  /** Axis i of the result is axis `permutation[i]` of `a`. */
  transpose(a: Operand, permutation: readonly number[]): unknown;
  /** The numbers of `a` in another shape; shares its memory. */
  reshape(a: Operand, shape: Shape): unknown;
  /** Converts to another dtype; see `Tensor.cast`. */
  cast(a: Operand, dtype: DType): unknown;

  /** A handle of a packed weight matrix (codes and scales), which it takes over; the codes lie in memory of `allocate`. */
  uploadPacked(matrix: PackedMatrix): unknown;
  /** A decoded copy, `[N, K]` f32. */
  downloadPacked(packed: unknown): Float32Array;
  /** `[M, N]` f32 from `[M, K]` f32 and a packed `[N, K]`; both operands may be rounded to `compute` first. */
  matmulPacked(a: Operand, packed: unknown, compute: 'f32' | 'bf16'): unknown;
  /** `[M, K]` f32 from `[M, N]` f32 and a packed `[N, K]`: the gradient of `matmulPacked` in its operand. */
  pullPacked(gradient: Operand, packed: unknown): unknown;
  /** Frees a handle of `uploadPacked`. */
  freePacked(packed: unknown): void;

  /** An f32 store that is written in place, zero at first: the KV cache uses it. */
  createVariable(shape: Shape): unknown;
  /** Overwrites the box of `value`'s shape that starts at `begin`. */
  writeVariable(variable: unknown, shape: Shape, begin: Shape, value: Operand): void;
  /** A handle of the contents, valid until the next write. */
  readVariable(variable: unknown, shape: Shape): unknown;
  /** Frees a store; handles that `readVariable` gave stay valid. */
  freeVariable(variable: unknown): void;

  /** Kernels that compute a whole op of `ops/` at once; absent where composing it of primitives is as fast. */
  readonly fused: FusedKernels;
  /** Whether products with bf16 weights are computed in bf16 by default: where that is fast, or was asked for. */
  readonly multipliesBf16: boolean;
  /** Whether tensors lie in the host's memory, rather than in a GPU's. */
  readonly usesHostMemory: boolean;
  /** Whether a call only queues its op, as on a GPU: a timing must read the result too. */
  readonly queuesOps: boolean;
}

/** Kernels of whole ops. Each gives undefined for operands that it does not take: the op is then composed of primitives. */
export interface FusedKernels {
  /** `x W^T`: `[T, in]` to `[T, out]`, f32, x rounded to `compute`; see `ops/linear.ts`. */
  linear?(x: Operand, weight: Operand, compute: 'f32' | 'bf16'): unknown;
  /** `x / sqrt(mean(x^2) + epsilon) * weight`; see `ops/rms-norm.ts`. */
  rmsNorm?(x: Operand, weight: Operand, epsilon: number): unknown;
  /** `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * weight + bias`; see `ops/layer-norm.ts`. */
  layerNorm?(x: Operand, weight: Operand, bias: Operand, epsilon: number): unknown;
  /** Half-split rotation of `[T, H, d]` by `[T, R/2]` tables; see `ops/rotate.ts`. */
  rotate?(x: Operand, cos: Operand, sin: Operand): unknown;
  /** `silu(gate) * up`; see `ops/swiglu.ts`. */
  swiglu?(gate: Operand, up: Operand): unknown;
}
