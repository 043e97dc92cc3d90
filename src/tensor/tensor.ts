import { type Check, checkArgument, isNumericArray, listOf, TEXT } from '../options.ts';
import type { Backend, BinaryOp, HostArray, ReduceOp, UnaryOp } from './backend.ts';
import { byteSize, elements, isFloat, type DType } from './dtype.ts';
import { DisposedError, ShapeError } from '../errors.ts';
import { hostArray } from './host-array.ts';
import { OwnedHandle } from './owned-handle.ts';
import { adopt } from './scope.ts';
import {
  type Shape,
  broadcastShapes,
  concatShape,
  isSize,
  matmulShape,
  reshapeShape,
  resolveAxis,
  show,
  sliceShape,
  splitShapes,
  transposeShape,
} from './shape.ts';
import { summary } from './summary.ts';
import { taped } from './tape.ts';

export { liveTensors } from './owned-handle.ts';

const BACKEND: Check = {
  words: 'a backend, of createBackend() or of a model',
  holds: (value) => typeof value === 'object' && value !== null && 'upload' in value,
};
const NUMBERS = listOf('numbers', (value) => typeof value === 'number');
const VALUES: Check = {
  words: 'a list of numbers, or a typed array of them',
  holds: (value) => isNumericArray(value) || NUMBERS.holds(value), // A typed array can have millions.
};
const TENSORS = listOf('tensors', (value) => value instanceof Tensor);
const TENSOR: Check = { words: 'a tensor', holds: (value) => value instanceof Tensor };

/**
 * An immutable array of numbers in a backend's memory: one handle, a shape, a dtype.
 *
 * A tensor that is made inside a `scope` is freed at its end. Outside of scopes the caller disposes of it; one that the
 * caller only drops is freed some time after the garbage collector has found it. Ops are synchronous, and arithmetic is
 * f32. The methods are those of numpy's arrays; the ops that papers name (`linear`, `rmsNorm`, `attention`) are in `ops/`.
 *
 * Every method throws a DisposedError once the tensor is freed, a ShapeError for shapes or dtypes that it does not take,
 * and an OptionError for arguments of another type.
 */
export class Tensor {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Whether a cache, a recording, a parameter or the caller owns the tensor, instead of a scope. */
  kept = false;
  readonly #owned: OwnedHandle;

  /** Takes over a handle of `backend`, whose memory holds `shape` numbers of `dtype`. */
  constructor(backend: Backend, handle: unknown, shape: Shape, dtype: DType) {
    this.backend = backend;
    this.#owned = new OwnedHandle(backend, handle);
    this.shape = shape;
    this.dtype = dtype;
    adopt(this);
  }

  /**
   * A tensor with a copy of `values`, row-major: i32 from an Int32Array, u8 from a Uint8Array, else f32.
   *
   * @param ofShape Default: one axis, `[values.length]`.
   * @throws {ShapeError} when the shape has another number of elements.
   */
  static from(backend: Backend, values: ArrayLike<number>, ofShape?: Shape): Tensor {
    checkArgument('Tensor.from', 'the backend', backend, BACKEND);
    checkArgument('Tensor.from', 'values', values, VALUES);
    const shape = ofShape ?? [values.length];
    checkArgument('Tensor.from', 'the shape', shape, NUMBERS);
    const dtype = values instanceof Int32Array ? 'i32' : values instanceof Uint8Array ? 'u8' : 'f32';
    if (elements(shape) !== values.length || !shape.every(isSize))
      throw new ShapeError(`Tensor.from: expected ${elements(shape)} values for ${show(shape)}, got ${values.length}.`);
    if (dtype === 'f32' && backend.uploadFloats)
      return new Tensor(backend, backend.uploadFloats(values, shape), shape, dtype);
    const bytes = new Uint8Array(values.length * byteSize(dtype));
    hostArray(bytes, dtype).set(values);
    return new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype);
  }

  /**
   * The backend's handle of the memory.
   *
   * @throws {DisposedError} when the tensor was freed; it names the scope that freed it.
   */
  get handle(): unknown {
    const { freedBy, handle } = this.#owned;
    if (freedBy !== undefined) throw new DisposedError(`${this.dtype} ${show(this.shape)} was freed ${freedBy}.`);
    return handle;
  }

  /** Whether the memory was freed. */
  get disposed(): boolean {
    return this.#owned.freedBy !== undefined;
  }

  /**
   * Frees the memory now; a second call does nothing.
   *
   * @param scopePath The scope at whose end this happens, for the error of later uses.
   */
  dispose(scopePath?: string): void {
    this.#owned.free(scopePath === undefined ? 'by dispose()' : endOf(scopePath));
  }

  /** Lets the garbage collector free the memory, should the owner drop the tensor: for tensors that no scope owns. */
  freeWhenForgotten(): void {
    this.#owned.freeAfter(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A copy of the values, row-major, as f32 whatever the dtype; i32 beyond 2^24 is rounded, see `integers`. */
  data(): Float32Array {
    const values = this.backend.download(this);
    return values instanceof Float32Array ? values : Float32Array.from(values);
  }

  /** A copy of the values, row-major, in f64: all that the backend `reference-f64` holds. */
  data64(): Float64Array {
    return Float64Array.from(this.backend.download(this));
  }

  /**
   * A copy of the values, row-major: an Int32Array of i32, a Uint8Array of u8, a Float32Array of the float dtypes (of the
   * backend `reference-f64`, a Float64Array).
   */
  integers(): HostArray {
    return this.backend.download(this);
  }

  /** A tensor with a copy of the values; f32 for every float dtype. */
  clone(): Tensor {
    return taped('reshape', [this], Tensor.from(this.backend, this.backend.download(this), this.shape));
  }

  /** Elementwise sum, f32, with numpy's broadcasting; so are the five methods below. */
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

  /** Elementwise square, f32; the six methods below are elementwise too. */
  square(): Tensor {
    return this.#unary('square');
  }
  sqrt(): Tensor {
    return this.#unary('sqrt');
  }
  exp(): Tensor {
    return this.#unary('exp');
  }
  /** Natural logarithm. */
  log(): Tensor {
    return this.#unary('log');
  }
  /** `1 / (1 + exp(-x))`. */
  sigmoid(): Tensor {
    return this.#unary('sigmoid');
  }
  tanh(): Tensor {
    return this.#unary('tanh');
  }
  /** The error function. */
  erf(): Tensor {
    return this.#unary('erf');
  }

  /** Sum over `axis` (negative: from the end), which stays with size 1; f32. So do `mean` and `max`. */
  sum(axis = -1): Tensor {
    return this.#reduce('sum', axis);
  }
  mean(axis = -1): Tensor {
    return this.#reduce('mean', axis);
  }
  max(axis = -1): Tensor {
    return this.#reduce('max', axis);
  }

  /** Softmax over the last axis, f32; an element of -Infinity gives 0. */
  softmax(): Tensor {
    this.#expectFloat32('softmax', this);
    resolveAxis('softmax', -1, this.shape.length);
    return taped('softmax', [this], this.#result(this.backend.softmax(this), this.shape));
  }

  /**
   * Matrix product: `[..., M, K] x [..., K, N]` to `[..., M, N]`, leading axes alike. With `transposeB`, `other` is
   * `[..., N, K]`. Both are f32 or both bf16, and so is the result.
   */
  matmul(other: Tensor, { transposeB = false } = {}): Tensor {
    checkArgument('matmul', 'the other operand', other, TENSOR);
    const shape = matmulShape(this.shape, other.shape, transposeB);
    if (this.dtype !== other.dtype || (this.dtype !== 'f32' && this.dtype !== 'bf16'))
      throw new ShapeError(
        `matmul: expected two f32 or two bf16 tensors, got ${this.dtype} x ${other.dtype}. Use cast().`,
      );
    const product = this.#result(this.backend.matmul(this, this.#sameBackend('matmul', other), transposeB), shape);
    return taped('matmul', [this, other], product, { transposeB });
  }

  /** The same numbers in another shape, without a copy; one size may be -1, which stands for what is left. */
  reshape(shape: Shape): Tensor {
    checkArgument('reshape', 'the shape', shape, NUMBERS);
    const resolved = reshapeShape(this.shape, shape);
    return taped('reshape', [this], this.#result(this.backend.reshape(this, resolved), resolved));
  }

  /** Axis i of the result is axis `permutation[i]` of this tensor. */
  transpose(permutation: readonly number[]): Tensor {
    checkArgument('transpose', 'the order', permutation, NUMBERS);
    const { shape } = this;
    const target = transposeShape(shape, permutation);
    // Where only axes of size 1 move, as in every step of one token, the bytes stay in order.
    const moved = permutation.filter((axis) => shape[axis] !== 1);
    const inOrder = moved.every((axis, i) => i === 0 || moved[i - 1] < axis);
    const handle = inOrder ? this.backend.reshape(this, target) : this.backend.transpose(this, permutation);
    return taped('transpose', [this], this.#result(handle, target), { permutation });
  }

  /** A copy of the box that starts at `begin`; a size of -1 goes to the end of its axis. */
  slice(begin: Shape, size: Shape): Tensor {
    checkArgument('slice', 'begin', begin, NUMBERS);
    checkArgument('slice', 'the size', size, NUMBERS);
    const box = sliceShape(this.shape, begin, size);
    return taped('slice', [this], this.#result(this.backend.slice(this, begin, box), box), { begin });
  }

  /** Pieces of the given sizes along `axis`; a single piece is this tensor itself. */
  split(sizes: readonly number[], axis = -1): Tensor[] {
    checkArgument('split', 'sizes', sizes, NUMBERS);
    const at = resolveAxis('split', axis, this.shape.length);
    const shapes = splitShapes(this.shape, sizes, at);
    if (shapes.length === 1) return [this];
    const pieces = this.backend.split(this, sizes, at).map((handle, i) => this.#result(handle, shapes[i]));
    return taped('split', [this], pieces, { axis: at });
  }

  /**
   * Slices along `axis` at `indices`, i32 with one axis. The caller makes sure that they are within the axis: backends do
   * not check them.
   */
  gather(indices: Tensor, axis = 0): Tensor {
    checkArgument('gather', 'indices', indices, TENSOR);
    const at = resolveAxis('gather', axis, this.shape.length);
    if (indices.dtype !== 'i32' || indices.shape.length !== 1)
      throw new ShapeError(`gather: expected i32 indices with one axis, got ${indices.dtype} ${show(indices.shape)}.`);
    const handle = this.backend.gather(this, this.#sameBackend('gather', indices), at);
    const slices = this.#result(handle, this.shape.with(at, indices.shape[0]));
    return taped('gather', [this, indices], slices, { axis: at });
  }

  /**
   * Converts floats to f32, bf16, f16 (nearest, ties to even) or i32 (towards zero), and integers to f32. The same dtype
   * gives this tensor itself.
   */
  cast(dtype: DType): Tensor {
    if (dtype === this.dtype) return this;
    checkArgument('cast', 'the dtype', dtype, TEXT);
    const possible = isFloat(this.dtype) ? ['f32', 'bf16', 'f16', 'i32'] : ['f32'];
    if (!possible.includes(dtype))
      throw new ShapeError(
        `cast: expected ${possible.join(', ')}, got ${dtype} for ${this.dtype} ${show(this.shape)}.`,
      );
    return taped('cast', [this], this.#result(this.backend.cast(this, dtype), this.shape, dtype));
  }

  /** One line: dtype, shape, range, mean, NaN count and first values; see `summary`. */
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
      return taped(op, [this, right], this.#result(this.backend.binary(op, this, right), shape));
    } finally {
      if (right !== other) right.dispose();
    }
  }

  #unary(op: UnaryOp): Tensor {
    this.#expectFloat32(op, this);
    return taped(op, [this], this.#result(this.backend.unary(op, this), this.shape));
  }

  #reduce(op: ReduceOp, axis: number): Tensor {
    this.#expectFloat32(op, this);
    const at = resolveAxis(op, axis, this.shape.length);
    return taped(op, [this], this.#result(this.backend.reduce(op, this, at), this.shape.with(at, 1)), { axis: at });
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

/**
 * Joins tensors along `axis`. They agree in dtype, backend and all other sizes.
 *
 * @throws {ShapeError} when they do not, or when there are none.
 */
export function concat(parts: readonly Tensor[], axis = 0): Tensor {
  checkArgument('concat', 'parts', parts, TENSORS);
  if (parts.length === 0) throw new ShapeError('concat: expected at least one tensor, got none.');
  const [first] = parts;
  const at = resolveAxis('concat', axis, first.shape.length);
  for (const part of parts) expectSameBackend('concat', first, part);
  const shape = concatShape(parts, at);
  const joined = new Tensor(first.backend, first.backend.concat(parts, at), shape, first.dtype);
  return taped('concat', parts, joined, { axis: at });
}

function expectSameBackend(op: string, a: Tensor, b: Tensor): void {
  if (a.backend !== b.backend)
    throw new ShapeError(`${op}: expected tensors of one backend, got ${a.backend.name} and ${b.backend.name}.`);
}

const endOf = (scopePath: string): string =>
  `at the end of ${scopePath ? `scope "${scopePath}"` : 'an unnamed scope'}: return it from the scope, or keep() it`;
