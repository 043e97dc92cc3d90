import { availableParallelism } from 'node:os';
import type { Backend, BinaryOp, FusedKernels, HostArray, Operand, ReduceOp, UnaryOp } from '../backend.ts';
import { CpuKernels } from '../cpu/kernels.ts';
import { newSharedMemory } from '../cpu/shared-memory.ts';
import type { Place } from '../cpu/shared-memory.ts';
import { hasBf16Instructions, prefersBf16Products } from '../cpu/processor.ts';
import { byteSize, elements, isFloat, type DType } from '../dtype.ts';
import { roundToBf16 } from '../formats/bf16.ts';
import { floatFormat } from '../formats/float-formats.ts';
import type { PackedMatrix } from '../formats/packed-format.ts';
import { type Shape, sameShape } from '../shape.ts';
import { hostArray } from '../host-array.ts';
import { loadAddon, TF, type Addon, type AddonOptions } from './addon.ts';
import { boolAttr, Executor, Handle, intAttr, TF_DTYPE, typeAttr, type Value } from './handles.ts';
import { DevicePacked, HostPacked, type PackedStore } from './packed-products.ts';
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

/** Up to here a product with a cache is ours. */
const FEW_CACHED_ROWS = 16;

/**
 * Up to here a product with a weight is ours where TensorFlow would have to widen the weight first. There its f32 kernels for
 * 2 to 6 rows also corrupt memory when a profiler's signal interrupts them.
 */
const FEW_ROWS = 8;

/** Settings of the backend and of TensorFlow. */
export interface TensorflowOptions extends AddonOptions {
  /** Where the KV cache and packed weights live: host memory (default on CPU) or TensorFlow's own (default on CUDA). */
  variables?: 'host' | 'device';
  /**
   * Whether products with bf16 weights are in bf16 where nobody asks for a dtype. Default: as this processor does it best.
   * Without instructions for bf16, kernels in f32 give the same roundings.
   */
  bf16Products?: boolean | undefined;
}

/** TensorFlow's eager kernels, on CPU or on CUDA, through tfjs-node's addon: handles in, handles out. */
export class TensorflowBackend implements Backend {
  readonly name = 'tensorflow';
  readonly description: string;
  readonly fused: FusedKernels;
  readonly #addon: Addon;
  readonly #executor: Executor;
  /** Of memory that was allocated and not uploaded yet. */
  readonly #places = new Map<Uint8Array, Place>();
  readonly multipliesBf16: boolean;
  readonly usesHostMemory: boolean;
  readonly queuesOps: boolean;
  readonly threads: number;
  /** Whether TensorFlow's bf16 product is fast, and rounds once. */
  readonly #hasBf16Kernels: boolean;
  /** Rows up to which a product with a weight is ours: what TensorFlow does with more is faster. */
  readonly #ownRows: number;
  readonly #variables: 'host' | 'device';
  /** On CPU: on CUDA a way through host memory would cost more than it saves. */
  readonly #kernels: CpuKernels | undefined;
  readonly #small: SmallKernels | undefined;

  /** @throws {AddonError} when TensorFlow's native part cannot be loaded. */
  constructor(options: TensorflowOptions = {}) {
    this.#addon = loadAddon(options);
    const gpu = this.#addon.isUsingGpuDevice();
    this.#kernels = gpu ? undefined : cpuKernels(this.#addon, options.threads);
    this.#executor = new Executor(this.#addon, this.#kernels?.memories);
    this.#variables = options.variables ?? (this.#kernels === undefined ? 'device' : 'host');
    this.usesHostMemory = !gpu;
    this.queuesOps = gpu;
    this.threads = options.threads ?? availableParallelism();
    this.#hasBf16Kernels = gpu || hasBf16Instructions();
    this.multipliesBf16 = options.bf16Products ?? (gpu || prefersBf16Products());
    this.#ownRows = this.multipliesBf16 ? 1 : FEW_ROWS;
    const own = this.#kernels && `, few rows in WebAssembly on ${this.#kernels.threads} threads`;
    this.description = `TensorFlow ${this.#addon.TF_Version} on ${gpu ? 'CUDA' : 'CPU'}${own ?? ''}`;
    this.#small = this.#kernels && smallKernels(this.#executor, this.#kernels);
    this.fused = { ...this.#small, ...(this.#kernels && { linear: this.#linear.bind(this) }) };
  }

  liveHandles(): number {
    return this.#executor.live;
  }

  allocate(bytes: number): Uint8Array {
    const place = this.#kernels?.memories.allocate(bytes);
    if (place === undefined) return new Uint8Array(bytes);
    const view = place.memory.view(place);
    this.#places.set(view, place);
    return view;
  }

  discard(bytes: Uint8Array): void {
    const place = this.#places.get(bytes);
    if (place !== undefined) this.#kernels?.memories.release(place);
    this.#places.delete(bytes);
  }

  upload(bytes: Uint8Array, shape: Shape, dtype: DType): Handle {
    if (dtype === 'f8_e4m3' || dtype === 'f8_e5m2') {
      const narrow = asBf16(bytes, dtype);
      this.discard(bytes);
      return this.upload(narrow, shape, 'bf16');
    }
    const place = this.#places.get(bytes);
    this.#places.delete(bytes);
    if (dtype === 'f32' || dtype === 'i32' || dtype === 'u8') {
      const values = hostArray(bytes, dtype);
      if (this.#kernels !== undefined && place === undefined && !(values instanceof Uint8Array))
        return this.#executor.made(values, shape);
      const id = this.#addon.createTensor(shape, TF_DTYPE[dtype], values);
      return new Handle(shape, { id, place, ...(this.#kernels && { values }) });
    }
    // The addon knows no 16-bit floats: they come as bytes, and Bitcast names them without a copy.
    const raw = this.#addon.createTensor([...shape, 2], TF.uint8, bytes);
    try {
      const id = this.#executor.idOf(this.#executor.run('Bitcast', [typeAttr('type', TF_DTYPE[dtype])], [raw]));
      return new Handle(shape, { id, place });
    } finally {
      this.#addon.deleteTensor(raw);
    }
  }

  download(a: Value): HostArray {
    if (a.handle.values !== undefined) return a.handle.values.slice();
    if (a.dtype === 'f32' || a.dtype === 'i32')
      return this.#addon.tensorDataSync(this.#executor.idOf(a.handle)) as HostArray;
    const wide = this.cast(a, isFloat(a.dtype) ? 'f32' : 'i32'); // The addon reads no other dtype.
    const values = this.#addon.tensorDataSync(this.#executor.idOf(wide)) as HostArray;
    this.free(wide);
    return a.dtype === 'u8' ? Uint8Array.from(values) : values;
  }

  peek(handle: Handle): HostArray | undefined {
    return handle.values;
  }

  free(handle: Handle): void {
    this.#executor.release(handle);
  }

  matmul(a: Value, b: Value, transposeB: boolean): Handle {
    if (a.dtype === 'bf16' && !this.#hasBf16Kernels) return this.#multiplyWidened(a, b, transposeB);
    if (a.shape.length > 2) {
      const own =
        a.shape.length === 3 && a.shape[1] <= FEW_CACHED_ROWS ? this.#multiplyWithStore(a, b, transposeB) : undefined;
      if (own !== undefined) return own;
      return this.#run('BatchMatMulV2', BATCH_MATMUL[Number(transposeB)], [this.#id(a), this.#id(b)]);
    }
    return this.#multiply(this.#id(a), this.#id(b), transposeB);
  }

  binary(op: BinaryOp, a: Value, b: Value): Handle {
    const repeats =
      a.shape.length >= b.shape.length && sameShape(a.shape.slice(a.shape.length - b.shape.length), b.shape);
    const small = repeats ? this.#small?.binary(op, a, b) : undefined;
    if (small !== undefined) return small;
    const alike = sameShape(a.shape, b.shape) && sameShape(a.handle.shape, b.handle.shape);
    const ids = [a, b].map((x) => (alike ? this.#executor.idOf(x.handle) : this.#id(x)));
    return this.#run(BINARY[op], [], ids);
  }

  unary(op: UnaryOp, a: Value): Handle {
    return this.#run(UNARY[op], [], [this.#executor.idOf(a.handle)]);
  }

  reduce(op: ReduceOp, a: Value, axis: number): Handle {
    return this.#run(REDUCE[op], KEEP_AXIS, [this.#id(a), this.#executor.ints([axis])]);
  }

  softmax(a: Value): Handle {
    return this.#small?.softmax(a) ?? this.#run('Softmax', [], [this.#id(a)]);
  }

  gather(a: Value, indices: Operand<Handle>, axis: number): Handle {
    const small = axis === 0 ? this.#small?.gather(a, indices) : undefined;
    if (small !== undefined) return small;
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
    return this.#run('Cast', [typeAttr('DstT', TF_DTYPE[dtype])], [this.#executor.idOf(a.handle)]);
  }

  uploadPacked(matrix: PackedMatrix): PackedStore {
    const place = this.#places.get(matrix.codes);
    this.#places.delete(matrix.codes);
    return this.#variables === 'host'
      ? new HostPacked(this.#executor, this.#kernels!, matrix, place)
      : new DevicePacked(this.#executor, matrix, () => place && this.#kernels?.memories.release(place));
  }

  downloadPacked(packed: PackedStore): Float32Array {
    return packed.download();
  }

  matmulPacked(a: Value, packed: PackedStore, compute: 'f32' | 'bf16'): Handle {
    const row = a.shape[0] === 1 ? packed.multiplyRow(this.#executor.read(a)) : undefined;
    if (row !== undefined) return this.#executor.made(row, [1, row.length]);
    const dtype = packed.dtype(compute);
    const left = { handle: dtype === 'f32' ? a.handle : this.cast(a, dtype), shape: a.shape, dtype };
    const parts: Handle[] = [];
    try {
      packed.decode(compute, (handle) => {
        const part = { handle, shape: handle.shape, dtype };
        parts.push(this.#linear(left, part, dtype) ?? this.matmul(left, part, true));
      });
      return this.#joinedColumns(parts, a.shape[0], dtype);
    } finally {
      if (left.handle !== a.handle) this.free(left.handle);
    }
  }

  pullPacked(gradient: Value, packed: PackedStore): Handle {
    const [M] = gradient.shape;
    const value = (handle: Handle, shape: Shape): Value => ({ handle, shape, dtype: 'f32' });
    let sum: Value | undefined;
    let row = 0;
    packed.decode('f32', (panel) => {
      const [rows, K] = panel.shape;
      const columns = value(this.slice(gradient, [0, row], [M, rows]), [M, rows]);
      const product = value(this.matmul(columns, value(panel, panel.shape), false), [M, K]);
      this.free(columns.handle);
      const before = sum;
      sum = before ? value(this.binary('add', before, product), [M, K]) : product;
      if (before) for (const { handle } of [before, product]) this.free(handle);
      row += rows;
    });
    return sum!.handle;
  }

  freePacked(packed: PackedStore): void {
    packed.free();
  }

  createVariable(shape: Shape): VariableStore {
    return this.#variables === 'host'
      ? new HostVariable(this.#executor, this.#kernels!.memories, shape)
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

  /** Products `[rows, n]` side by side, in f32; they are freed. */
  #joinedColumns(parts: readonly Handle[], rows: number, dtype: DType): Handle {
    const columns = (handle: Handle): number => (rows === 0 ? handle.shape[1] : elements(handle.shape) / rows);
    const values = parts.map((handle) => ({ handle, shape: [rows, columns(handle)], dtype }));
    if (parts.length === 1 && dtype === 'f32') return parts[0];
    try {
      const joined = parts.length === 1 ? parts[0] : this.concat(values, 1);
      if (dtype === 'f32') return joined;
      const wide = this.cast({ handle: joined, shape: joined.shape, dtype }, 'f32');
      if (joined !== parts[0]) this.free(joined);
      return wide;
    } finally {
      for (const part of parts) this.free(part);
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

  /** Without instructions for it, TensorFlow's bf16 product is slow and rounds sums on the way. */
  #multiplyWidened(a: Value, b: Value, transposeB: boolean): Handle {
    const shape = [...a.shape.slice(0, -1), b.shape.at(transposeB ? -2 : -1)!];
    const wide: Value[] = [];
    const widened = (handle: Handle, of: Shape): Value => {
      wide.push({ handle, shape: of, dtype: 'f32' });
      return wide.at(-1)!;
    };
    try {
      const x = widened(this.cast(a, 'f32'), a.shape);
      const y = widened(this.cast(b, 'f32'), b.shape);
      return this.cast(widened(this.matmul(x, y, transposeB), shape), 'bf16');
    } finally {
      for (const { handle } of wide) this.free(handle);
    }
  }

  /** A batched product of few rows with a store that our kernels can reach. */
  #multiplyWithStore(a: Value, b: Value, transposeB: boolean): Handle | undefined {
    const { place } = b.handle;
    if (place === undefined || a.dtype !== 'f32') return undefined;
    const [batch, M, K] = a.shape;
    const N = b.shape.at(transposeB ? -2 : -1)!;
    const product = this.#kernels!.multiply(this.#executor.read(a), place, { batch, M, K, N, transposeB });
    return product && this.#executor.made(product, [batch, M, N]);
  }

  /** Few rows of activations by a weight that our kernels can reach. */
  #linear(x: Value, weight: Value, compute: 'f32' | 'bf16'): Handle | undefined {
    const { place } = weight.handle;
    const { dtype } = weight;
    const [M, K] = x.shape;
    const [N] = weight.shape;
    const most = compute === 'f32' && dtype === 'bf16' ? FEW_ROWS : this.#ownRows;
    if (M > most || M * N * K === 0 || place === undefined || (dtype !== 'f32' && dtype !== 'bf16')) return undefined;
    if (compute === 'bf16' && dtype === 'f32') return undefined; // The weight would have to be rounded too.
    const exact = this.#executor.read(x);
    const values = compute === 'bf16' ? roundToBf16(exact.slice()) : exact;
    const product = this.#kernels!.linear({ place, dtype }, values, N, K);
    return product && this.#executor.made(product, [M, N]);
  }
}

let shared: CpuKernels | undefined;

/**
 * One set of threads for a process, as TensorFlow has one; undefined where TensorFlow would copy our memory, or where a
 * limit on the address space leaves no room for it.
 */
function cpuKernels(addon: Addon, threads: number | undefined): CpuKernels | undefined {
  if (shared === undefined) {
    const own = newSharedMemory();
    if (own === undefined) return undefined;
    shared = new CpuKernels(own, threads);
  }
  return sharesMemory(addon, shared) ? shared : undefined;
}

function sharesMemory(addon: Addon, { memories }: CpuKernels): boolean {
  const place = memories.allocate(1);
  if (place === undefined) return false;
  const probe = place.memory.view(place).fill(0);
  const id = addon.createTensor([1], TF.bool, probe);
  probe[0] = 1;
  const [seen] = addon.tensorDataSync(id) as Uint8Array;
  addon.deleteTensor(id);
  memories.release(place);
  return seen === 1;
}

/** TensorFlow's kernels know next to nothing of 8-bit floats; bf16 holds each of their values exactly. */
function asBf16(bytes: Uint8Array, dtype: 'f8_e4m3' | 'f8_e5m2'): Uint8Array {
  const values = new Float32Array(bytes.length);
  floatFormat(dtype).decode(bytes, values);
  const narrow = new Uint8Array(bytes.length * byteSize('bf16'));
  floatFormat('bf16').encode(values, narrow);
  return narrow;
}
