import { type Check, checkArgument, listOf, TEXT } from '../options.ts';
import type { Backend, BinaryOp, HostArray, ReduceOp, Shape, UnaryOp } from './backend.ts';
import { byteSize, elements, isFloat, type DType } from './dtype.ts';
import { DisposedError, ShapeError } from '../errors.ts';
import { adopt } from './scope.ts';
import { broadcastShapes, isSize, matmulShape, reshapeShape, resolveAxis, sameShape, show } from './shape.ts';
import { summary } from './summary.ts';

const BACKEND: Check = {
  words: 'a backend, of createBackend() or of a model',
  holds: (value) => typeof value === 'object' && value !== null && 'upload' in value,
};
const VALUES = listOf('numbers, or a typed array of them', (value) => typeof value === 'number');
const NUMBERS = listOf('numbers', (value) => typeof value === 'number');
const TENSORS = listOf('tensors', (value) => value instanceof Tensor);
const TENSOR: Check = { words: 'a tensor', holds: (value) => value instanceof Tensor };

let live = 0;

/** How many tensors exist that were not disposed of, in all backends. */
export const liveTensors = (): number => live;

/** Frees the handles of tensors that nobody disposed of. */
const forgotten = new FinalizationRegistry<{ readonly backend: Backend; readonly handle: unknown }>(
  ({ backend, handle }) => {
    backend.free(handle);
    live--;
  },
);

/**
 * An immutable array of numbers in a backend's memory: one handle, a shape, a dtype.
 *
 * Tensors are born in a `scope` and die with it; outside of one, the caller disposes of them, and what the caller forgets
 * is freed some time after it was collected. Arithmetic is f32 and
 * synchronous. Methods are what numpy has as methods; what a paper names (`linear`, `rmsNorm`, `attention`) is in `ops/`.
 */
export class Tensor {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Owned by a cache, a recording or a parameter instead of a scope. */
  kept = false;
  readonly #handle: unknown;
  #freedBy: string | undefined;
  #freedWhenForgotten = false;

  constructor(backend: Backend, handle: unknown, shape: Shape, dtype: DType) {
    this.backend = backend;
    this.#handle = handle;
    this.shape = shape;
    this.dtype = dtype;
    live++;
    adopt(this);
  }

  /** A tensor with a copy of `values`, row-major; without a shape, one axis. Default dtype: i32 for an Int32Array, u8 for a Uint8Array, else f32. */
  static from(backend: Backend, values: ArrayLike<number>, ofShape?: Shape): Tensor {
    checkArgument('Tensor.from', 'the backend', backend, BACKEND);
    checkArgument('Tensor.from', 'values', values, VALUES);
    const shape = ofShape ?? [values.length];
    checkArgument('Tensor.from', 'the shape', shape, NUMBERS);
    const dtype = values instanceof Int32Array ? 'i32' : values instanceof Uint8Array ? 'u8' : 'f32';
    if (elements(shape) !== values.length || !shape.every(isSize))
      throw new ShapeError(`Tensor.from: expected ${elements(shape)} values for ${show(shape)}, got ${values.length}.`);
    const bytes = new Uint8Array(values.length * byteSize(dtype));
    hostArray(bytes, dtype).set(values);
    return new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype);
  }

  /** What the backend keeps; throws a DisposedError once the tensor is freed. */
  get handle(): unknown {
    if (this.#freedBy !== undefined)
      throw new DisposedError(`${this.dtype} ${show(this.shape)} was freed ${this.#freedBy}.`);
    return this.#handle;
  }

  get disposed(): boolean {
    return this.#freedBy !== undefined;
  }

  /** Frees the memory now; a second call does nothing. */
  dispose(scopePath?: string): void {
    if (this.#freedBy !== undefined) return;
    this.#freedBy = scopePath === undefined ? 'by dispose()' : endOf(scopePath);
    if (this.#freedWhenForgotten) forgotten.unregister(this);
    this.backend.free(this.#handle);
    live--;
  }

  /** For scopes, about a tensor that leaves them all: should its owner forget it, the garbage collector frees it. */
  freeWhenForgotten(): void {
    if (this.#freedWhenForgotten || this.disposed) return;
    this.#freedWhenForgotten = true;
    forgotten.register(this, { backend: this.backend, handle: this.#handle }, this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A copy of the values, row-major. Float dtypes of any width come as f32; i32 and u8 as numbers in f32 too. */
  data(): Float32Array {
    const values = this.backend.download(this);
    return values instanceof Float32Array ? values : Float32Array.from(values);
  }

  /** A copy of the values of an i32 or u8 tensor without the way through f32. */
  integers(): HostArray {
    return this.backend.download(this);
  }

  /** A copy with bytes of its own; f32 for every float dtype. */
  clone(): Tensor {
    return Tensor.from(this.backend, this.backend.download(this), this.shape);
  }

  add(other: Tensor | number): Tensor {
    return this.#binary('add', other);
  }
  sub(other: Tensor | number): Tensor {
    return this.#binary('sub', other);
  }
  mul(other: Tensor | number): Tensor {
    return this.#binary('mul', other);
  }
  div(other: Tensor | number): Tensor {
    return this.#binary('div', other);
  }
  maximum(other: Tensor | number): Tensor {
    return this.#binary('maximum', other);
  }
  minimum(other: Tensor | number): Tensor {
    return this.#binary('minimum', other);
  }

  square(): Tensor {
    return this.#unary('square');
  }
  sqrt(): Tensor {
    return this.#unary('sqrt');
  }
  exp(): Tensor {
    return this.#unary('exp');
  }
  log(): Tensor {
    return this.#unary('log');
  }
  sigmoid(): Tensor {
    return this.#unary('sigmoid');
  }
  tanh(): Tensor {
    return this.#unary('tanh');
  }
  erf(): Tensor {
    return this.#unary('erf');
  }

  /** Sum over `axis`, which stays with size 1. */
  sum(axis = -1): Tensor {
    return this.#reduce('sum', axis);
  }
  mean(axis = -1): Tensor {
    return this.#reduce('mean', axis);
  }
  max(axis = -1): Tensor {
    return this.#reduce('max', axis);
  }

  /** Over the last axis; -Infinity gives 0. */
  softmax(): Tensor {
    this.#expectFloat32('softmax', this);
    resolveAxis('softmax', -1, this.shape.length);
    return this.#result(this.backend.softmax(this), this.shape);
  }

  /** `[..., M, K] x [..., K, N]`, or `x [..., N, K]` with `transposeB`; both f32 or both bf16. */
  matmul(other: Tensor, { transposeB = false } = {}): Tensor {
    checkArgument('matmul', 'the other operand', other, TENSOR);
    const shape = matmulShape(this.shape, other.shape, transposeB);
    if (this.dtype !== other.dtype || (this.dtype !== 'f32' && this.dtype !== 'bf16'))
      throw new ShapeError(
        `matmul: expected two f32 or two bf16 tensors, got ${this.dtype} x ${other.dtype}. Use cast().`,
      );
    return this.#result(this.backend.matmul(this, this.#sameBackend('matmul', other), transposeB), shape);
  }

  /** One size may be -1. */
  reshape(shape: Shape): Tensor {
    checkArgument('reshape', 'the shape', shape, NUMBERS);
    const resolved = reshapeShape(this.shape, shape);
    return this.#result(this.backend.reshape(this, resolved), resolved);
  }

  transpose(permutation: readonly number[]): Tensor {
    checkArgument('transpose', 'the order', permutation, NUMBERS);
    const { shape } = this;
    if (permutation.length !== shape.length || !shape.every((_, axis) => permutation.includes(axis)))
      throw new ShapeError(`transpose: expected an order of the axes of ${show(shape)}, got ${show(permutation)}.`);
    const target = permutation.map((axis) => shape[axis]);
    // Where only axes of size 1 move, the bytes stay in order: true of every one-token step.
    const moved = permutation.filter((axis) => shape[axis] !== 1);
    const inOrder = moved.every((axis, i) => i === 0 || moved[i - 1] < axis);
    return this.#result(
      inOrder ? this.backend.reshape(this, target) : this.backend.transpose(this, permutation),
      target,
    );
  }

  /** The box that starts at `begin`; a size of -1 goes to the end of its axis. */
  slice(begin: Shape, size: Shape): Tensor {
    checkArgument('slice', 'begin', begin, NUMBERS);
    checkArgument('slice', 'the size', size, NUMBERS);
    const box = size.map((length, i) => (length === -1 ? this.shape[i] - begin[i] : length));
    const inside = box.every((length, i) => isSize(length) && isSize(begin[i]) && begin[i] + length <= this.shape[i]);
    if (box.length !== this.shape.length || begin.length !== box.length || !inside)
      throw new ShapeError(
        `slice: expected a box in ${show(this.shape)}, got begin ${show(begin)}, size ${show(size)}.`,
      );
    return this.#result(this.backend.slice(this, begin, box), box);
  }

  /** Pieces of the given sizes along `axis`. */
  split(sizes: readonly number[], axis = -1): Tensor[] {
    checkArgument('split', 'sizes', sizes, NUMBERS);
    const at = resolveAxis('split', axis, this.shape.length);
    if (sizes.reduce((sum, size) => sum + size, 0) !== this.shape[at] || !sizes.every(isSize))
      throw new ShapeError(`split: expected sizes of axis ${at} of ${show(this.shape)}, got ${show(sizes)}.`);
    if (sizes.length === 1) return [this];
    const handles = this.backend.split(this, sizes, at);
    return handles.map((handle, i) => this.#result(handle, this.shape.with(at, sizes[i])));
  }

  /** Slices along `axis` at the given places, which the caller knows to be inside: a GPU does not look. */
  gather(indices: Tensor, axis = 0): Tensor {
    checkArgument('gather', 'indices', indices, TENSOR);
    const at = resolveAxis('gather', axis, this.shape.length);
    if (indices.dtype !== 'i32' || indices.shape.length !== 1)
      throw new ShapeError(`gather: expected i32 indices with one axis, got ${indices.dtype} ${show(indices.shape)}.`);
    return this.#result(
      this.backend.gather(this, this.#sameBackend('gather', indices), at),
      this.shape.with(at, indices.shape[0]),
    );
  }

  /** From floats to f32, bf16, f16 (nearest, ties to even) or i32 (towards zero); from integers to f32. */
  cast(dtype: DType): Tensor {
    if (dtype === this.dtype) return this;
    checkArgument('cast', 'the dtype', dtype, TEXT);
    const possible = isFloat(this.dtype) ? ['f32', 'bf16', 'f16', 'i32'] : ['f32'];
    if (!possible.includes(dtype))
      throw new ShapeError(
        `cast: expected ${possible.join(', ')}, got ${dtype} for ${this.dtype} ${show(this.shape)}.`,
      );
    return this.#result(this.backend.cast(this, dtype), this.shape, dtype);
  }

  toString(): string {
    return summary(this);
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return summary(this);
  }

  #binary(op: BinaryOp, other: Tensor | number): Tensor {
    this.#expectFloat32(op, this);
    if (typeof other !== 'number') checkArgument(op, 'the other operand', other, TENSOR);
    const right = typeof other === 'number' ? Tensor.from(this.backend, [other], []) : this.#sameBackend(op, other);
    this.#expectFloat32(op, right);
    const shape = broadcastShapes(op, this.shape, right.shape);
    try {
      return this.#result(this.backend.binary(op, this, right), shape);
    } finally {
      if (right !== other) right.dispose();
    }
  }

  #unary(op: UnaryOp): Tensor {
    this.#expectFloat32(op, this);
    return this.#result(this.backend.unary(op, this), this.shape);
  }

  #reduce(op: ReduceOp, axis: number): Tensor {
    this.#expectFloat32(op, this);
    const at = resolveAxis(op, axis, this.shape.length);
    return this.#result(this.backend.reduce(op, this, at), this.shape.with(at, 1));
  }

  #result(handle: unknown, shape: Shape, dtype: DType = this.dtype): Tensor {
    return new Tensor(this.backend, handle, shape, dtype);
  }

  #sameBackend(op: string, other: Tensor): Tensor {
    expectSameBackend(op, this, other);
    return other;
  }

  #expectFloat32(op: string, tensor: Tensor): void {
    if (tensor.dtype !== 'f32')
      throw new ShapeError(`${op}: expected f32, got ${tensor.dtype} ${show(tensor.shape)}. Use cast('f32').`);
  }
}

/** The parts, end to end along `axis`; their other sizes and dtypes agree. */
export function concat(parts: readonly Tensor[], axis = 0): Tensor {
  checkArgument('concat', 'parts', parts, TENSORS);
  if (parts.length === 0) throw new ShapeError('concat: expected at least one tensor, got none.');
  const [first] = parts;
  const at = resolveAxis('concat', axis, first.shape.length);
  for (const part of parts) {
    expectSameBackend('concat', first, part);
    const alike = part.dtype === first.dtype && part.shape.length === first.shape.length;
    if (!alike || !sameShape(part.shape.with(at, first.shape[at]), first.shape))
      throw new ShapeError(
        `concat: expected ${first.dtype} ${show(first.shape)} but for axis ${at}, got ${part.dtype} ${show(part.shape)}.`,
      );
  }
  const size = parts.reduce((sum, part) => sum + part.shape[at], 0);
  return new Tensor(first.backend, first.backend.concat(parts, at), first.shape.with(at, size), first.dtype);
}

function expectSameBackend(op: string, a: Tensor, b: Tensor): void {
  if (a.backend !== b.backend)
    throw new ShapeError(`${op}: expected tensors of one backend, got ${a.backend.name} and ${b.backend.name}.`);
}

const endOf = (scopePath: string): string =>
  `at the end of ${scopePath ? `scope "${scopePath}"` : 'an unnamed scope'}: return it from the scope, or keep() it`;

/** The bytes seen as numbers of `dtype`: f32, i32 or u8. */
export function hostArray(bytes: Uint8Array, dtype: DType): HostArray {
  if (dtype === 'u8' || (isFloat(dtype) && dtype !== 'f32')) return bytes;
  const { buffer, byteOffset, byteLength } = bytes;
  return dtype === 'i32'
    ? new Int32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(buffer, byteOffset, byteLength / 4);
}
