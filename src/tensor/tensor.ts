import {
  type Check,
  checkArgument,
  checkOptions,
  type Checks,
  FLAG,
  isNumericArray,
  listOf,
  TEXT,
} from '../options.ts';
import { ArrayMethods } from './array/array-methods.ts';
import { type Axes, type KeepDim, NUMBERS } from './array/array-primitives.ts';
import { broadcastProduct, cumsum } from './array/axes.ts';
import { resolvePlaces } from './array/indexing.ts';
import { flatten, type NestedNumbers } from './array/nested-numbers.ts';
import { reduceAxes } from './array/reductions.ts';
import type { Backend, BinaryOp, HostArray, ReduceOp, UnaryOp } from './backend.ts';
import { addDevtoolsFormatter } from './devtools-formatter.ts';
import { byteSize, elements, isFloat, type DType } from './dtype.ts';
import { DisposedError, ShapeError } from '../errors.ts';
import { hostArray } from './host-array.ts';
import { OwnedHandle } from './owned-handle.ts';
import { adopt, scope } from './scope.ts';
import {
  type Shape,
  broadcastShapes,
  concatShape,
  isSize,
  matmulShape,
  reshapeShape,
  resolveAxis,
  sameShape,
  show,
  sliceShape,
  splitShapes,
  transposeShape,
} from './shape.ts';
import { summary } from './summary.ts';
import { taped } from './tape.ts';
import { noteMade } from './traced-tensors.ts';

export { liveTensors } from './owned-handle.ts';

const BACKEND: Check = {
  words: 'a backend, of createBackend() or of a model',
  holds: (value) => typeof value === 'object' && value !== null && 'upload' in value,
};
const PLACES: Check = {
  words: 'an i32 tensor or a list of numbers',
  holds: (value) => TENSOR.holds(value) || NUMBERS.holds(value),
};
/** What an operand can be. */
export const OPERAND: Check = {
  words: 'a tensor, a number, or numbers in arrays',
  holds: (value) => typeof value === 'number' || TENSOR.holds(value) || Array.isArray(value) || isNumericArray(value),
};
/** A list of tensors. */
export const TENSORS = listOf('tensors', (value) => value instanceof Tensor);
/** A tensor. */
export const TENSOR: Check = { words: 'a tensor', holds: (value) => value instanceof Tensor };

/** An operand: a tensor, a number, or numbers in nested or typed arrays. */
export type TensorLike = Tensor | number | NestedNumbers;

/** How `matmul` reads its operands. */
export interface MatmulOptions {
  /** Whether the right operand is `[..., N, K]`. Default false. */
  readonly transposeB?: boolean | undefined;
}

// In a debugger nothing may have side effects, and V8 takes reading an imported name to have one.
const summarise = summary;

const MATMUL: Checks<MatmulOptions> = { transposeB: FLAG };

/**
 * An immutable array of numbers in a backend's memory: one handle, a shape, a dtype.
 *
 * A tensor that is made inside a `scope` is freed at its end. Outside of scopes the caller disposes of it; one that the
 * caller only drops is freed some time after the garbage collector has found it. Ops are synchronous, and arithmetic is
 * f32. The methods here are those that backends have an op for; numpy's others are composed of them in `array/`, and the ops that papers
 * name (`linear`, `rmsNorm`, `attention`) are in `ops/`.
 *
 * Every method throws a DisposedError once the tensor is freed, a ShapeError for shapes or dtypes that it does not take,
 * and an OptionError for arguments of another type.
 */
export class Tensor extends ArrayMethods<Tensor> {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Whether a cache, a recording, a parameter or the caller owns the tensor, instead of a scope. */
  kept = false;
  readonly #owned: OwnedHandle;

  /** Takes over a handle of `backend`, whose memory holds `shape` numbers of `dtype`. */
  constructor(backend: Backend, handle: unknown, shape: Shape, dtype: DType) {
    super();
    this.backend = backend;
    this.#owned = new OwnedHandle(backend, handle);
    this.shape = shape;
    this.dtype = dtype;
    noteMade(this.#owned, this);
    adopt(this);
  }

  /**
   * A tensor with a copy of the numbers, row-major: i32 from an Int32Array, u8 from a Uint8Array, else f32.
   *
   * @param ofShape Default: as the arrays are nested; `[2, 3]` for `[[1, 2, 3], [4, 5, 6]]`.
   * @throws {ShapeError} when the shape has another number of elements, and for nested rows of different lengths.
   */
  static from(backend: Backend, nested: NestedNumbers, ofShape?: Shape): Tensor {
    checkArgument('Tensor.from', 'the backend', backend, BACKEND);
    const { values, shape: ownShape } = flatten('Tensor.from', nested);
    const shape = ofShape ?? ownShape;
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

  /** A tensor of this one's backend; see `Tensor.from`. */
  newTensor(values: NestedNumbers, shape?: Shape): Tensor {
    return Tensor.from(this.backend, values, shape);
  }

  /** A tensor with a copy of the values; f32 for every float dtype. */
  clone(): Tensor {
    return taped('reshape', [this], Tensor.from(this.backend, this.backend.download(this), this.shape));
  }

  /** Elementwise sum, f32, with numpy's broadcasting; so are the five methods below. Operands may be plain numbers or arrays. */
  add(other: TensorLike): Tensor {
    return this.#binary('add', other);
  }
  sub(other: TensorLike): Tensor {
    return this.#binary('sub', other);
  }
  mul(other: TensorLike): Tensor {
    return this.#binary('mul', other);
  }
  div(other: TensorLike): Tensor {
    return this.#binary('div', other);
  }
  maximum(other: TensorLike): Tensor {
    return this.#binary('maximum', other);
  }
  minimum(other: TensorLike): Tensor {
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

  /** The sum along `axes` (one or several; negative: from the end), f32; so are `mean` and `max`. Default: of all numbers. */
  sum(axes?: Axes, options: KeepDim = {}): Tensor {
    return this.#reduceAxes('sum', axes, options);
  }
  /** NaN for no numbers. */
  mean(axes?: Axes, options: KeepDim = {}): Tensor {
    return this.#reduceAxes('mean', axes, options);
  }
  /** -Infinity for no numbers. */
  max(axes?: Axes, options: KeepDim = {}): Tensor {
    return this.#reduceAxes('max', axes, options);
  }

  /** The sum of each number and those before it along `axis`, f32. */
  cumsum(axis: number): Tensor {
    return cumsum<Tensor>(this, axis, concat);
  }

  /** Softmax over `axis`, f32; an element of -Infinity gives 0. */
  softmax(axis = -1): Tensor {
    this.#expectFloat32('softmax', this);
    const last = this.shape.length - 1;
    const along = resolveAxis('softmax', axis, this.shape.length);
    if (along === last) return taped('softmax', [this], this.#result(this.backend.softmax(this), this.shape));
    const exchange = this.shape.map((_, i) => (i === along ? last : i === last ? along : i));
    return scope('', () => this.transpose(exchange).softmax().transpose(exchange));
  }

  /**
   * Matrix product: `[..., M, K] x [..., K, N]` to `[..., M, N]`, where leading axes broadcast. With `transposeB`, `other` is
   * `[..., N, K]`. A vector counts as a row on the left and as a column on the right, without that axis in the result, as in numpy.
   * Both are f32 or both bf16, and so is the result.
   */
  matmul(other: Tensor, options: MatmulOptions = {}): Tensor {
    checkArgument('matmul', 'the other operand', other, TENSOR);
    checkOptions('matmul', options, MATMUL);
    const { transposeB = false } = options;
    if (this.dtype !== other.dtype || (this.dtype !== 'f32' && this.dtype !== 'bf16'))
      throw new ShapeError(
        `matmul: expected two f32 or two bf16 tensors, got ${this.dtype} x ${other.dtype}. Use cast().`,
      );
    this.#sameBackend('matmul', other);
    const [rank, otherRank] = [this.shape.length, other.shape.length];
    if (rank > 1 && otherRank > 1 && sameShape(this.shape.slice(0, -2), other.shape.slice(0, -2)))
      return this.#product(other, transposeB);
    return broadcastProduct<Tensor>(this, other, transposeB, (a, b, transposed) => a.#product(b, transposed));
  }

  /** The same numbers in another shape, without a copy; one size may be -1, which stands for what is left. */
  reshape(shape: Shape): Tensor {
    checkArgument('reshape', 'the shape', shape, NUMBERS);
    const resolved = reshapeShape(this.shape, shape);
    return taped('reshape', [this], this.#result(this.backend.reshape(this, resolved), resolved));
  }

  /** Axis i of the result is axis `permutation[i]` of this tensor. Default: the axes in reverse order. */
  transpose(permutation: readonly number[] = this.shape.map((_, axis) => this.shape.length - 1 - axis)): Tensor {
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
   * Slices along `axis` at `indices` (numpy's `take`), whose axes stand in the place of `axis`; -1 is the last slice.
   *
   * @param indices i32, or a list of numbers.
   * @throws {ShapeError} for an index beyond the axis, for which the indices are read on the host.
   */
  gather(indices: Tensor | ArrayLike<number>, axis = 0): Tensor {
    checkArgument('gather', 'indices', indices, PLACES);
    const { shape } = this;
    const along = resolveAxis('gather', axis, shape.length);
    if (!(indices instanceof Tensor))
      return this.#gather(resolvePlaces('gather', indices, { shape, axis: along }), along);
    if (indices.dtype !== 'i32')
      throw new ShapeError(`gather: expected i32 indices, got ${indices.dtype} ${show(indices.shape)}.`);
    const places = this.#sameBackend('gather', indices).integers();
    const resolved = resolvePlaces('gather', places, { shape, axis: along });
    if (resolved === places && indices.shape.length === 1) {
      const slices = this.#result(this.backend.gather(this, indices, along), shape.with(along, places.length));
      return taped('gather', [this, indices], slices, { axis: along });
    }
    return scope('', () => this.#gather(resolved, along).reshape(shape.toSpliced(along, 1, ...indices.shape)));
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

  /** One line: dtype, shape, range, mean, counts of NaN and infinities, and first values; see `summary`. */
  override toString(): string {
    const { dtype, shape } = this;
    return this.disposed ? `Tensor ${dtype} ${show(shape)} freed` : summary(dtype, shape, this.backend.download(this));
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
  /** The same for the variables of VS Code, which allows no side effects: of numbers in TensorFlow's memory it says only where they are. */
  [Symbol.for('debug.description')](): string {
    const { freedBy, handle } = this.#owned;
    if (freedBy !== undefined) return `Tensor ${this.dtype} [${this.shape.join(', ')}] freed ${freedBy}`;
    const values = this.backend.peek(handle);
    if (values !== undefined) return summarise(this.dtype, this.shape, values);
    return `Tensor ${this.dtype} [${this.shape.join(', ')}] in the memory of ${this.backend.name}: toString() reads it`;
  }

  #binary(op: BinaryOp, other: TensorLike): Tensor {
    this.#expectFloat32(op, this);
    const right = other instanceof Tensor ? this.#sameBackend(op, other) : this.#operand(op, other);
    try {
      this.#expectFloat32(op, right);
      const shape = broadcastShapes(op, this.shape, right.shape);
      return taped(op, [this, right], this.#result(this.backend.binary(op, this, right), shape));
    } finally {
      if (right !== other) right.dispose();
    }
  }

  #operand(op: string, numbers: number | NestedNumbers): Tensor {
    checkArgument(op, 'the other operand', numbers, OPERAND);
    const { values, shape } = typeof numbers === 'number' ? { values: [numbers], shape: [] } : flatten(op, numbers);
    return Tensor.from(this.backend, Float64Array.from(values), shape); // Rounded where floats are f32.
  }

  #unary(op: UnaryOp): Tensor {
    this.#expectFloat32(op, this);
    return taped(op, [this], this.#result(this.backend.unary(op, this), this.shape));
  }

  #reduceAxes(op: ReduceOp, axes: Axes | undefined, options: KeepDim): Tensor {
    this.#expectFloat32(op, this);
    return reduceAxes<Tensor>(op, this, axes, options, (x, axis) => x.#reduce(op, axis));
  }

  /** The axis stays, with size 1. */
  #reduce(op: ReduceOp, axis: number): Tensor {
    return taped(op, [this], this.#result(this.backend.reduce(op, this, axis), this.shape.with(axis, 1)), { axis });
  }

  #product(other: Tensor, transposeB: boolean): Tensor {
    const shape = matmulShape(this.shape, other.shape, transposeB);
    const product = this.#result(this.backend.matmul(this, other, transposeB), shape);
    return taped('matmul', [this, other], product, { transposeB });
  }

  #gather(places: Int32Array, axis: number): Tensor {
    const indices = this.newTensor(places);
    try {
      const slices = this.#result(this.backend.gather(this, indices, axis), this.shape.with(axis, places.length));
      return taped('gather', [this, indices], slices, { axis });
    } finally {
      indices.dispose();
    }
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

addDevtoolsFormatter((value) => (value instanceof Tensor ? value.toString() : undefined));
