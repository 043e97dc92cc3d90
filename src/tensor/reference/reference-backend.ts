import type { Backend, BinaryOp, Floats, FusedKernels, HostArray, Operand, ReduceOp, UnaryOp } from '../backend.ts';
import { elements, isFloat, type DType } from '../dtype.ts';
import { fromBf16, toBf16 } from '../formats/bf16.ts';
import { fromF16, toF16 } from '../formats/f16.ts';
import { floatFormat } from '../formats/float-formats.ts';
import { decodePacked, type PackedMatrix } from '../formats/packed-format.ts';
import { type Shape, broadcastShapes } from '../shape.ts';
import { hostArray } from '../host-array.ts';
import * as elementwise from './elementwise.ts';
import { matmul } from './matmul.ts';
import { copyBox, emptyLike, gather, transpose } from './movement.ts';

type Value = Operand<HostArray>;
type FloatValue = Operand<Floats>;

/** The arrays that hold floats: f32 as on other backends, or f64. */
type FloatArray = Float32ArrayConstructor | Float64ArrayConstructor;

/**
 * The ops in plain loops: their definition, and the oracle that other backends are tested against.
 *
 * Floats of every dtype are stored as f32 (a cast to bf16 or f16 rounds them), and sums are in f64. With arrays of f64 the
 * same loops compute in f64: what tensors call f32 is then f64, so that what is left of a difference between two runs is
 * not rounding, and slopes can be taken by differences.
 */
export class ReferenceBackend implements Backend {
  readonly name: string;
  readonly description: string;
  readonly fused: FusedKernels = {};
  readonly multipliesBf16 = true;
  readonly usesHostMemory = true;
  readonly queuesOps = false;
  readonly threads = 1;
  readonly #Floats: FloatArray;
  #live = 0;

  /** @param floats The arrays that hold floats. Default: f32. */
  constructor(floats: FloatArray = Float32Array) {
    const isWide = floats === Float64Array;
    this.name = isWide ? 'reference-f64' : 'reference';
    this.description = `plain TypeScript on one thread${isWide ? ', in f64' : ''}`;
    this.#Floats = floats;
    if (isWide) this.uploadFloats = (values) => this.#made(Float64Array.from(values));
  }

  readonly uploadFloats?: (values: ArrayLike<number>) => Floats;

  liveHandles(): number {
    return this.#live;
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  discard(): void {
    // The garbage collector frees it.
  }

  upload(bytes: Uint8Array, shape: Shape, dtype: DType): HostArray {
    if (!isFloat(dtype)) return this.#made(hostArray(bytes, dtype));
    if (dtype === 'f32') return this.#made(this.#stored(hostArray(bytes, dtype) as Float32Array));
    const values = new Float32Array(elements(shape));
    floatFormat(dtype).decode(bytes, values);
    return this.#made(this.#stored(values));
  }

  download(a: Value): HostArray {
    return a.handle.slice();
  }

  peek(handle: HostArray): HostArray {
    return handle;
  }

  free(): void {
    this.#live--;
  }

  matmul(a: FloatValue, b: FloatValue, transposeB: boolean): Floats {
    const [M, K] = a.shape.slice(-2);
    const N = b.shape.at(transposeB ? -2 : -1)!;
    const batch = elements(a.shape.slice(0, -2));
    const product = matmul(a.handle, b.handle, { batch, M, N, K, transposeB });
    return this.#made(a.dtype === 'bf16' ? roundTo('bf16', product) : product);
  }

  binary(op: BinaryOp, a: FloatValue, b: FloatValue): Floats {
    const left = { values: a.handle, shape: a.shape };
    const right = { values: b.handle, shape: b.shape };
    return this.#made(elementwise.binary(op, left, right, broadcastShapes(op, a.shape, b.shape)));
  }

  unary(op: UnaryOp, a: FloatValue): Floats {
    return this.#made(elementwise.unary(op, a.handle));
  }

  reduce(op: ReduceOp, a: FloatValue, axis: number): Floats {
    return this.#made(elementwise.reduce(op, a.handle, a.shape, axis));
  }

  softmax(a: FloatValue): Floats {
    return this.#made(elementwise.softmax(a.handle, a.shape.at(-1)!));
  }

  gather(a: Value, indices: Operand<Int32Array>, axis: number): HostArray {
    return this.#made(gather(a.handle, a.shape, indices.handle, axis));
  }

  concat(parts: readonly Value[], axis: number): HostArray {
    const [first] = parts;
    const shape = first.shape.with(
      axis,
      parts.reduce((sum, part) => sum + part.shape[axis], 0),
    );
    const out = { values: emptyLike(first.handle, elements(shape)), shape, at: shape.map(() => 0) };
    for (const part of parts) {
      copyBox({ values: part.handle, shape: part.shape, at: shape.map(() => 0) }, out, part.shape);
      out.at[axis] += part.shape[axis];
    }
    return this.#made(out.values);
  }

  slice(a: Value, begin: Shape, size: Shape): HostArray {
    const values = emptyLike(a.handle, elements(size));
    copyBox({ values: a.handle, shape: a.shape, at: begin }, { values, shape: size, at: size.map(() => 0) }, size);
    return this.#made(values);
  }

  split(a: Value, sizes: readonly number[], axis: number): HostArray[] {
    let from = 0;
    return sizes.map((size) => {
      const begin = a.shape.map((_, i) => (i === axis ? from : 0));
      const piece = this.slice(a, begin, a.shape.with(axis, size));
      from += size;
      return piece;
    });
  }

  transpose(a: Value, permutation: readonly number[]): HostArray {
    return this.#made(transpose(a.handle, a.shape, permutation));
  }

  reshape(a: Value): HostArray {
    return this.#made(a.handle);
  }

  cast(a: Value, dtype: DType): HostArray {
    if (dtype === 'i32') return this.#made(Int32Array.from(a.handle, Math.trunc));
    return this.#made(roundTo(dtype, this.#Floats.from(a.handle)));
  }

  uploadPacked(matrix: PackedMatrix): PackedMatrix {
    this.#live++;
    return matrix;
  }

  downloadPacked(packed: PackedMatrix): Float32Array {
    return decodePacked(packed);
  }

  matmulPacked(a: FloatValue, packed: PackedMatrix, compute: 'f32' | 'bf16'): Floats {
    const [M, K] = a.shape;
    const left = compute === 'f32' ? a.handle : roundTo(compute, a.handle.slice());
    const right = roundTo(compute, decodePacked(packed));
    return this.#made(matmul(left, right, { batch: 1, M, N: packed.blockRow.length, K, transposeB: true }));
  }

  pullPacked(gradient: FloatValue, packed: PackedMatrix): Floats {
    const [M, K] = gradient.shape;
    const sizes = { batch: 1, M, N: packed.columns, K, transposeB: false };
    return this.#made(matmul(gradient.handle, decodePacked(packed), sizes));
  }

  freePacked(): void {
    this.#live--;
  }

  createVariable(shape: Shape): Floats {
    return new this.#Floats(elements(shape));
  }

  writeVariable(variable: Floats, shape: Shape, begin: Shape, value: FloatValue): void {
    const source = { values: value.handle, shape: value.shape, at: value.shape.map(() => 0) };
    copyBox(source, { values: variable, shape, at: begin }, value.shape);
  }

  readVariable(variable: Floats): Floats {
    return this.#made(variable);
  }

  freeVariable(): void {
    // The garbage collector frees it.
  }

  #stored(values: Float32Array): Floats {
    return this.#Floats === Float32Array ? values : this.#Floats.from(values);
  }

  #made<A extends HostArray>(values: A): A {
    this.#live++;
    return values;
  }
}

/** Rounds values in place to the nearest ones of `dtype`, which is f32, bf16 or f16. */
function roundTo<A extends Floats>(dtype: DType, values: A): A {
  if (dtype === 'bf16') for (let i = 0; i < values.length; i++) values[i] = fromBf16(toBf16(values[i]));
  if (dtype === 'f16') for (let i = 0; i < values.length; i++) values[i] = fromF16(toF16(values[i]));
  return values;
}
