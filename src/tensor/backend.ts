import type { DType } from './dtype.ts';
import type { PackedMatrix } from './formats/packed-format.ts';

export type Shape = readonly number[];

/** An operand of a backend's op: what that backend keeps for a tensor, seen as `shape` and `dtype`. */
export interface Operand<Handle = unknown> {
  readonly handle: Handle;
  readonly shape: Shape;
  readonly dtype: DType;
}

export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum';
export type UnaryOp = 'square' | 'sqrt' | 'exp' | 'log' | 'sigmoid' | 'tanh' | 'erf';
export type ReduceOp = 'sum' | 'mean' | 'max';
export type HostArray = Float32Array | Int32Array | Uint8Array;

/**
 * The op contract: what every backend does, and all that it must do.
 *
 * Ops take operands whose shapes and dtypes `Tensor` has already checked, and give a new handle that the caller frees.
 * Arithmetic is on f32; `matmul` also multiplies bf16. `reference/` is the definition of each op, and
 * `test/tensor/conformance.test.ts` holds every backend to it.
 */
export interface Backend {
  /** Its name in the list of backends: see `backends.ts`. */
  readonly name: string;
  /** Where it computes, for people: `CPU` or `GPU`, library version, threads. */
  readonly description: string;
  /** Threads that its kernels use. */
  readonly threads: number;
  /** Handles that are not freed yet, by the backend's own books. */
  liveHandles(): number;

  /** Host memory for a weight, which `upload` takes over without a copy where the backend can, or `discard` gives back. */
  allocate(bytes: number): Uint8Array;
  /** Gives back what `allocate` gave and `upload` did not take. */
  discard(bytes: Uint8Array): void;
  /** Takes over `bytes` (row-major, little-endian): the caller does not write to them afterwards. */
  upload(bytes: Uint8Array, shape: Shape, dtype: DType): unknown;
  /** A copy: f32 for the float dtypes, i32, u8. */
  download(a: Operand): HostArray;
  free(handle: unknown): void;

  /** `[..., M, N]` from `[..., M, K]` and `[..., K, N]`, or `[..., N, K]` with `transposeB`; result in the operands' dtype. */
  matmul(a: Operand, b: Operand, transposeB: boolean): unknown;
  /** Elementwise f32 with numpy broadcasting. */
  binary(op: BinaryOp, a: Operand, b: Operand): unknown;
  unary(op: UnaryOp, a: Operand): unknown;
  /** Over one axis, which stays with size 1. */
  reduce(op: ReduceOp, a: Operand, axis: number): unknown;
  /** Over the last axis; -Infinity gives 0. */
  softmax(a: Operand): unknown;
  /** Slices of `a` along `axis` at `indices` (i32, one axis). */
  gather(a: Operand, indices: Operand, axis: number): unknown;
  concat(parts: readonly Operand[], axis: number): unknown;
  slice(a: Operand, begin: Shape, size: Shape): unknown;
  split(a: Operand, sizes: readonly number[], axis: number): unknown[];
  transpose(a: Operand, permutation: readonly number[]): unknown;
  /** Shares the bytes of `a`. */
  reshape(a: Operand, shape: Shape): unknown;
  cast(a: Operand, dtype: DType): unknown;

  /** Takes over a weight matrix in codes and factors; `allocate` gives the memory of the codes. */
  uploadPacked(matrix: PackedMatrix): unknown;
  /** A copy of its numbers, `[N, K]` f32. */
  downloadPacked(packed: unknown): Float32Array;
  /** `[M, N]` f32 from `[M, K]` f32 and a packed `[N, K]`; both may be rounded to `compute` before the product. */
  matmulPacked(a: Operand, packed: unknown, compute: 'f32' | 'bf16'): unknown;
  freePacked(packed: unknown): void;

  /** A zeroed f32 store that is written in place: the KV cache. */
  createVariable(shape: Shape): unknown;
  /** Overwrites the box of `value`'s shape that starts at `begin`. */
  writeVariable(variable: unknown, shape: Shape, begin: Shape, value: Operand): void;
  /** The contents; valid until the next write. */
  readVariable(variable: unknown, shape: Shape): unknown;
  freeVariable(variable: unknown): void;

  /** Kernels that do a whole op of `ops/` at once; `undefined` where composing it of primitives is as fast. */
  readonly fused: FusedKernels;
  /** Whether a bf16 weight is multiplied in bf16 where nobody asks for a dtype: where such products are fast, or were asked for. */
  readonly multipliesBf16: boolean;
  /** Whether tensors lie in the memory of this machine, not in that of a GPU. */
  readonly usesHostMemory: boolean;
  /** Whether a call only queues its op, as on a GPU: a timing must read the result too. */
  readonly queuesOps: boolean;
}

export interface FusedKernels {
  /** `x W^T`, `[T, in]` to `[T, out]` f32, with x rounded to `compute`; see `ops/linear.ts`. */
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
