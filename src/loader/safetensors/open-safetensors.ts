import { checkArgument, instanceOf, PATH, SIGNAL, TEXT } from '../../options.ts';
import type { StoredBytes } from '../files/decode-blocks.ts';
import { InputFile } from '../files/input-file.ts';
import type { SafetensorsDType } from './dtypes.ts';
import { SafetensorsError } from './safetensors-error.ts';
import { FLOAT_FORMATS } from './conversions.ts';
import { readHeader, type SafetensorsEntry, type SafetensorsHeader } from './safetensors-header.ts';

/** The elements of a tensor as the file stores them. */
export type SafetensorsData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** A tensor read from a file; `writeSafetensors` accepts it as it is. */
export interface SafetensorsTensor {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /**
   * The stored elements: Float32Array for F32, BigInt64Array for I64 and so on. F16 and BF16 are given as bits in a Uint16Array,
   * and the other dtypes without a JavaScript array as bytes in a Uint8Array.
   */
  readonly data: SafetensorsData;
  /**
   * The values as f32: exact for F32, F16, BF16, F8_E4M3, F8_E5M2 and small integers, rounded for the wider dtypes.
   * @throws {SafetensorsError} when the dtype is not decoded (F4, F6, F8_E8M0, the FNUZ variants, C64)
   */
  toFloat32(): Float32Array;
}

const ARRAYS = {
  F32: Float32Array,
  F64: Float64Array,
  I8: Int8Array,
  I16: Int16Array,
  I32: Int32Array,
  I64: BigInt64Array,
  BOOL: Uint8Array,
  U8: Uint8Array,
  U16: Uint16Array,
  U32: Uint32Array,
  U64: BigUint64Array,
} as const;

/** An open safetensors file whose header has been checked; tensors are read one by one. */
export class SafetensorsFile {
  readonly path: string;
  /** Tensors by name, in the order of the header. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** The file's `__metadata__`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Bytes of the header. */
  readonly headerBytes: number;
  readonly #input: InputFile;

  constructor(input: InputFile, header: SafetensorsHeader) {
    this.path = input.path;
    this.headerBytes = header.bytes;
    this.#input = input;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
  }

  /**
   * Reads a whole tensor.
   * @throws {SafetensorsError} when there is no tensor of this name
   * @throws {LoadError} when the file was written to since it was opened
   */
  async read(name: string, signal?: AbortSignal): Promise<SafetensorsTensor> {
    const { dtype, shape, bytes } = this.#entry(name);
    const stored = new Uint8Array(bytes);
    await this.readInto(name, stored, signal);
    const toFloat32 = (): Float32Array => {
      const values = toFloats(dtype, stored);
      if (values === undefined)
        throw new SafetensorsError(this.path, 'UnsupportedDType', `cannot decode ${dtype}`, name);
      return values;
    };
    return { dtype, shape, data: elementsOf(dtype, stored), toFloat32 };
  }

  /**
   * Reads the stored bytes of a tensor into `target`, which may be a view of shared memory. The tensor is read in parts of 64 MiB,
   * and an aborted signal stops the reading between two of them.
   * @throws {SafetensorsError} when there is no tensor of this name, or `target` has another length
   * @throws {LoadError} when the file was written to since it was opened
   */
  async readInto(name: string, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { position, bytes } = this.#entry(name);
    checkArgument('readInto', 'target', target, instanceOf(Uint8Array, 'a Uint8Array'));
    if (signal !== undefined) checkArgument('read', 'signal', signal, SIGNAL);
    if (target.length !== bytes) {
      throw new SafetensorsError(
        this.path,
        'InvalidTarget',
        `expected a target of ${bytes} bytes, got ${target.length}`,
        name,
      );
    }
    await this.#input.read(target, position, signal);
  }

  /** The place of a tensor's bytes, for a reader that decodes them. */
  locate(name: string): StoredBytes {
    const { position, bytes } = this.#entry(name);
    return { file: this.#input, position, bytes };
  }

  close(): Promise<void> {
    return this.#input.close();
  }

  #entry(name: string): SafetensorsEntry {
    checkArgument('read', 'the name', name, TEXT);
    const entry = this.tensors.get(name);
    if (entry === undefined) {
      throw new SafetensorsError(
        this.path,
        'TensorNotFound',
        `not among the ${this.tensors.size} tensors of this file`,
        name,
      );
    }
    return entry;
  }
}

/**
 * Opens a safetensors file and checks its whole header. Tensors are read later, one by one.
 *
 * ```ts
 * const file = await openSafetensors('model.safetensors');
 * const { shape, data } = await file.read('model.norm.weight');
 * await file.close();
 * ```
 * @throws {LoadError} when it cannot be opened or is not a regular file
 * @throws {SafetensorsError} when it breaks a rule of the format
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  checkArgument('openSafetensors', 'the path', path, PATH);
  return readSafetensors(await InputFile.open(path));
}

/** Does the same with a file that is open already, and closes it on an error. */
export async function readSafetensors(input: InputFile): Promise<SafetensorsFile> {
  try {
    return new SafetensorsFile(input, await readHeader(input));
  } catch (error) {
    await input.close();
    throw error;
  }
}

function elementsOf(dtype: SafetensorsDType, { buffer }: Uint8Array<ArrayBuffer>): SafetensorsData {
  if (dtype === 'F16' || dtype === 'BF16') return new Uint16Array(buffer);
  return dtype in ARRAYS ? new ARRAYS[dtype as keyof typeof ARRAYS](buffer) : new Uint8Array(buffer);
}

function toFloats(dtype: SafetensorsDType, stored: Uint8Array<ArrayBuffer>): Float32Array | undefined {
  const format = FLOAT_FORMATS[dtype];
  if (format !== undefined) {
    const values = new Float32Array(stored.length / format.blockBytes);
    format.decode(stored, values);
    return values;
  }
  if (!(dtype in ARRAYS)) return undefined;
  return Float32Array.from(elementsOf(dtype, stored) as ArrayLike<number>, Number);
}
