import type { Backend, BinaryOp, FusedKernels, HostArray, Operand, ReduceOp, Shape, UnaryOp } from '../backend.ts';
import { byteSize, isFloat, type DType } from '../dtype.ts';
import { floatFormat } from '../formats/index.ts';
import type { PackedMatrix } from '../formats/packed.ts';
import { sameShape } from '../shape.ts';
import { hostArray } from '../tensor.ts';
import { loadAddon, TF, type Addon, type AddonOptions } from './addon.ts';
import { boolAttr, Executor, Handle, intAttr, TF_DTYPE, typeAttr, type Value } from './handles.ts';
import { allocateShared } from './host-memory.ts';
import { DevicePacked, HostPacked, type PackedStore } from './packed.ts';
import { type SmallKernels, smallKernels } from './small-kernels.ts';
import { DeviceVariable, HostVariable, type VariableStore } from './variables.ts';

const BINARY: Record<BinaryOp, string> = {
  add: 'AddV2',
  sub: 'Sub',
  mul: 'Mul',
  div: 'RealDiv',
  maximum: 'Maximum',
  minimum: 'Minimum',
};
const UNARY: Record<UnaryOp, string> = {
  square: 'Square',
  sqrt: 'Sqrt',
  exp: 'Exp',
  log: 'Log',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
  erf: 'Erf',
};
const REDUCE: Record<ReduceOp, string> = { sum: 'Sum', mean: 'Mean', max: 'Max' };

const KEEP_AXIS = [boolAttr('keep_dims', true)];
const MATMUL_TRANSPOSED = [boolAttr('transpose_a', false), boolAttr('transpose_b', true)];
const BATCH_MATMUL = [false, true].map((transposeB) => [boolAttr('adj_x', false), boolAttr('adj_y', transposeB)]);

/** Fewer bytes than this are copied sooner than the border is found from which TensorFlow shares them. */
const WORTH_SHARING = 65536;

/** Up to here a batched product with a cache is done slice by slice. */
const FEW_ROWS = 16;

export interface TensorflowOptions extends AddonOptions {
  /** Where the KV cache and packed weights live: host memory (default on CPU) or TensorFlow's own (default on CUDA). */
  variables?: 'host' | 'device';
}

/** TensorFlow's eager kernels, on CPU or on CUDA, through tfjs-node's addon: handles in, handles out. */
export class TensorflowBackend implements Backend {
  readonly name = 'tensorflow';
  readonly description: string;
  readonly fused: FusedKernels;
  readonly #addon: Addon;
  readonly #executor: Executor;
  readonly #variables: 'host' | 'device';
  /** On CPU: on CUDA a way through host memory would cost more than it saves. */
  readonly #small: SmallKernels | undefined;

  /** @throws AddonError when TensorFlow's native part cannot be loaded. */
  constructor(options: TensorflowOptions = {}) {
    this.#addon = loadAddon(options);
    this.#executor = new Executor(this.#addon);
    const gpu = this.#addon.isUsingGpuDevice();
    this.#variables = options.variables ?? (gpu || !this.#sharesMemory() ? 'device' : 'host');
    this.description = `TensorFlow ${this.#addon.TF_Version} on ${gpu ? 'CUDA' : 'CPU'}`;
    this.#small = gpu ? undefined : smallKernels(this.#addon);
    this.fused = this.#small ?? {};
  }

  liveHandles(): number {
    return this.#addon.getNumOfTensors();
  }

  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    return bytes < WORTH_SHARING ? new Uint8Array(bytes) : allocateShared(this.#addon, bytes).bytes;
  }

  upload(bytes: Uint8Array<ArrayBuffer>, shape: Shape, dtype: DType): Handle {
    if (dtype === 'f32' || dtype === 'i32' || dtype === 'u8')
      return new Handle(this.#addon.createTensor(shape, TF_DTYPE[dtype], hostArray(bytes, dtype)), shape);
    if (dtype === 'f8_e4m3' || dtype === 'f8_e5m2') return this.upload(asBf16(bytes, dtype), shape, 'bf16');
    return this.#executor.halves(bytes, shape, TF_DTYPE[dtype]);
  }

  download(a: Value): HostArray {
    if (a.dtype === 'f32' || a.dtype === 'i32') return this.#addon.tensorDataSync(a.handle.id) as HostArray;
    const wide = this.cast(a, isFloat(a.dtype) ? 'f32' : 'i32'); // The addon reads no other dtype.
    const values = this.#addon.tensorDataSync(wide.id) as HostArray;
    this.free(wide);
    return a.dtype === 'u8' ? Uint8Array.from(values) : values;
  }

  free(handle: Handle): void {
    this.#executor.release(handle);
  }

  matmul(a: Value, b: Value, transposeB: boolean): Handle {
    if (a.shape.length > 2) {
      const slices = sameShape(b.handle.shape, b.shape) ? b.handle.slices : undefined;
      if (this.#small !== undefined && slices !== undefined && a.shape.at(-2)! <= FEW_ROWS)
        return this.#multiplySlices(a, b, slices, transposeB);
      return this.#run('BatchMatMulV2', BATCH_MATMUL[Number(transposeB)], [this.#id(a), this.#id(b)]);
    }
    // One row of bf16: TensorFlow is 1.5 times faster with the weight as the left operand. The column it gives is the row.
    if (a.shape[0] === 1 && transposeB && a.dtype === 'bf16') return this.#multiply(this.#id(b), this.#id(a), true);
    return this.#multiply(this.#id(a), this.#id(b), transposeB);
  }

  binary(op: BinaryOp, a: Value, b: Value): Handle {
    const repeats =
      a.shape.length >= b.shape.length && sameShape(a.shape.slice(a.shape.length - b.shape.length), b.shape);
    const small = repeats ? this.#small?.binary(op, a, b) : undefined;
    if (small !== undefined) return small;
    const alike = sameShape(a.shape, b.shape) && sameShape(a.handle.shape, b.handle.shape);
    return this.#run(BINARY[op], [], alike ? [a.handle.id, b.handle.id] : [this.#id(a), this.#id(b)]);
  }

  unary(op: UnaryOp, a: Value): Handle {
    return this.#run(UNARY[op], [], [a.handle.id]);
  }

  reduce(op: ReduceOp, a: Value, axis: number): Handle {
    return this.#run(REDUCE[op], KEEP_AXIS, [this.#id(a), this.#executor.ints([axis])]);
  }

  softmax(a: Value): Handle {
    return this.#run('Softmax', [], [this.#id(a)]);
  }

  gather(a: Value, indices: Operand<Handle>, axis: number): Handle {
    return this.#run('GatherV2', [], [this.#id(a), this.#id(indices), this.#executor.int(axis)]);
  }

  concat(parts: readonly Value[], axis: number): Handle {
    const ids = parts.map((part) => this.#id(part));
    if (parts.length === 1) return this.#run('DeepCopy', [], ids);
    // An operand that is a list hides its length and type.
    const attrs = [intAttr('N', parts.length), typeAttr('T', TF_DTYPE[parts[0].dtype])];
    return this.#run('ConcatV2', attrs, [...ids, this.#executor.int(axis)]);
  }

  slice(a: Value, begin: Shape, size: Shape): Handle {
    return this.#run('Slice', [], [this.#id(a), this.#executor.ints(begin), this.#executor.ints(size)]);
  }

  split(a: Value, sizes: readonly number[], axis: number): Handle[] {
    const small = axis === a.shape.length - 1 ? this.#small?.split(a, sizes) : undefined;
    if (small !== undefined) return small;
    const inputs = [this.#id(a), this.#executor.ints(sizes), this.#executor.int(axis)];
    return this.#executor.runMany('SplitV', [intAttr('num_split', sizes.length)], inputs, sizes.length);
  }

  transpose(a: Value, permutation: readonly number[]): Handle {
    return this.#run('Transpose', [], [this.#id(a), this.#executor.ints(permutation)]);
  }

  reshape(a: Value): Handle {
    a.handle.holders++;
    return a.handle;
  }

  cast(a: Value, dtype: DType): Handle {
    return this.#run('Cast', [typeAttr('DstT', TF_DTYPE[dtype])], [a.handle.id]);
  }

  uploadPacked(matrix: PackedMatrix): PackedStore {
    return this.#variables === 'host'
      ? new HostPacked(this.#executor, matrix)
      : new DevicePacked(this.#executor, matrix);
  }

  downloadPacked(packed: PackedStore): Float32Array {
    return packed.download();
  }

  matmulPacked(a: Value, packed: PackedStore, compute: 'f32' | 'bf16'): Handle {
    const dtype = packed.dtype(compute);
    const left = { handle: dtype === 'f32' ? a.handle : this.cast(a, dtype), shape: a.shape, dtype };
    const asColumn = a.shape[0] === 1 && dtype === 'bf16';
    const parts: Handle[] = [];
    try {
      packed.decode(compute, ({ id }) => {
        parts.push(asColumn ? this.#multiply(id, this.#id(left), true) : this.#multiply(this.#id(left), id, true));
      });
      const product = this.#joined(parts, dtype, asColumn ? 0 : 1);
      return dtype === 'f32' ? product : this.#widened(product);
    } finally {
      if (left.handle !== a.handle) this.free(left.handle);
    }
  }

  freePacked(packed: PackedStore): void {
    packed.free();
  }

  createVariable(shape: Shape): VariableStore {
    return this.#variables === 'host'
      ? new HostVariable(this.#executor, shape)
      : new DeviceVariable(this.#executor, shape);
  }

  writeVariable(variable: VariableStore, _shape: Shape, begin: Shape, value: Value): void {
    variable.write(begin, value);
  }

  readVariable(variable: VariableStore): Handle {
    return variable.read();
  }

  freeVariable(variable: VariableStore): void {
    variable.free();
  }

  /** The parts end to end; they are freed. */
  #joined(parts: readonly Handle[], dtype: DType, axis: number): Handle {
    if (parts.length === 1) return parts[0];
    try {
      return this.concat(
        parts.map((handle) => ({ handle, shape: handle.shape, dtype })),
        axis,
      );
    } finally {
      for (const part of parts) this.free(part);
    }
  }

  #widened(narrow: Handle): Handle {
    try {
      return this.cast({ handle: narrow, shape: narrow.shape, dtype: 'bf16' }, 'f32');
    } finally {
      this.free(narrow);
    }
  }

  #run(...[op, attrs, inputs]: Parameters<Executor['run']>): Handle {
    return this.#executor.run(op, attrs, inputs);
  }

  #id(value: Value): number {
    return this.#executor.id(value);
  }

  /**
   * A product of two matrices. TensorFlow's kernel for one that is not transposed keeps data below the stack pointer, so
   * that the signal of a profiler (`node --cpu-prof`) corrupts memory; the batched op does the same product safely.
   */
  #multiply(left: number, right: number, transposeB: boolean): Handle {
    return transposeB
      ? this.#run('MatMul', MATMUL_TRANSPOSED, [left, right])
      : this.#run('BatchMatMulV2', BATCH_MATMUL[0], [left, right]);
  }

  /**
   * A batched product with few rows, as one product after the other: BatchMatMulV2 always wakes a second thread, and
   * waiting for it takes longer than a small product on one.
   */
  #multiplySlices(a: Value, b: Value, slices: readonly Handle[], transposeB: boolean): Handle {
    const [batch, M, K] = a.shape;
    const N = b.shape.at(transposeB ? -2 : -1)!;
    const left = this.#addon.tensorDataSync(a.handle.id) as Float32Array;
    const product = new Float32Array(batch * M * N);
    slices.forEach((slice, i) => {
      const rows = this.#addon.createTensor([M, K], TF.float, left.slice(i * M * K, (i + 1) * M * K));
      const part = this.#multiply(rows, slice.id, transposeB);
      product.set(this.#addon.tensorDataSync(part.id) as Float32Array, i * M * N);
      this.#addon.deleteTensor(rows);
      this.free(part);
    });
    const shape = [batch, M, N];
    return new Handle(this.#addon.createTensor(shape, TF.float, product), shape);
  }

  #sharesMemory(): boolean {
    return allocateShared(this.#addon, 1).shared;
  }
}

/** TensorFlow's kernels know next to nothing of 8-bit floats; bf16 holds each of their values exactly. */
function asBf16(bytes: Uint8Array<ArrayBuffer>, dtype: 'f8_e4m3' | 'f8_e5m2'): Uint8Array<ArrayBuffer> {
  const values = new Float32Array(bytes.length);
  floatFormat(dtype).decode(bytes, values);
  const narrow = new Uint8Array(bytes.length * byteSize('bf16'));
  floatFormat('bf16').encode(values, narrow);
  return narrow;
}
