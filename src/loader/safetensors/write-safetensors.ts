import { open, type FileHandle } from 'node:fs/promises';

import { type Check, checkArgument, isRecord, OBJECT, PATH, show } from '../../options.ts';
import { withSpace } from '../files/disk-space.ts';
import { replaceComplete } from '../files/make-complete.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { byteLength, isSafetensorsDType, SAFETENSORS_DTYPES, type SafetensorsDType } from './dtypes.ts';
import { SafetensorsError } from './safetensors-error.ts';
import { MAX_HEADER_BYTES } from './safetensors-header.ts';
import { METADATA_KEY } from './scan-header.ts';
import { DTYPE_OF_TENSOR, tensorBytes } from './tensor-bytes.ts';

/** The bytes of a tensor: row-major, little-endian, in the dtype's own size. */
export type TensorBytes = Uint8Array | ArrayBufferView;

/**
 * A tensor to be written. Where `data` is a function, it is called when its bytes are due, so that one tensor is in memory at a
 * time.
 */
export interface TensorToWrite {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data: TensorBytes | (() => TensorBytes | Promise<TensorBytes> | AsyncIterable<TensorBytes>);
}

interface PlacedTensor extends TensorToWrite {
  readonly name: string;
  readonly bytes: number;
}

const TENSORS: Check = {
  words: 'pairs of a name and a tensor, or an object of tensors by name',
  holds: (value) => typeof value === 'object' && value !== null,
};
const PAIR: Check = {
  words: 'pairs of a name and a tensor',
  holds: (value) => Array.isArray(value) && typeof value[0] === 'string',
};

/** Bytes in one call of `write`; Node's limit is 2^31. */
const CHUNK = 64 * 2 ** 20;

/**
 * Writes a safetensors file under a temporary name beside `path`, flushes it to disk and renames it; after an error nothing is
 * left. Tensors are written in the order of the Python library (by falling alignment of the dtype, then by name), so that equal
 * contents give equal bytes; data functions are called in that order.
 *
 * @param tensors Tensors by name: a Map, any iterable of pairs, or a plain object. A `Tensor` is written in its dtype, and read from
 *   its backend when its bytes are due: dispose of it after the call has ended.
 * @param metadata The file's `__metadata__`; Python's readers of models expect `{ format: 'pt' }`.
 * @throws {SafetensorsError} when a name, shape, dtype or number of bytes cannot be written
 * @throws {LoadError} when the disk is full
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, TensorToWrite | Tensor]> | Readonly<Record<string, TensorToWrite | Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  checkArgument('writeSafetensors', 'the path', path, PATH);
  checkArgument('writeSafetensors', 'tensors', tensors, TENSORS);
  if (metadata !== undefined) checkArgument('writeSafetensors', 'metadata', metadata, OBJECT);
  const placed = place(path, Symbol.iterator in tensors ? tensors : Object.entries(tensors));
  const header = headerBytes(path, placed, metadata);
  const total = placed.reduce((sum, { bytes }) => sum + bytes, header.length);
  await replaceComplete(path, (temporary) =>
    withSpace(path, total, async () => {
      const handle = await open(temporary, 'wx');
      try {
        await writeAll(handle, header);
        for (const tensor of placed) await writeTensor(path, handle, tensor);
        await handle.sync();
      } finally {
        await handle.close();
      }
    }),
  );
}

const toWrite = (x: Tensor): TensorToWrite => ({
  dtype: DTYPE_OF_TENSOR[x.dtype],
  shape: x.shape,
  data: () => tensorBytes(x),
});

/** Checks the tensors and sorts them in the order of the file. */
function place(path: string, tensors: Iterable<readonly [string, TensorToWrite | Tensor]>): PlacedTensor[] {
  const placed = new Map<string, PlacedTensor>();
  for (const entry of tensors as Iterable<unknown>) {
    checkArgument('writeSafetensors', 'tensors', entry, PAIR);
    const [name, tensor] = entry as readonly [string, unknown];
    const refuse = (problem: string): never => {
      throw new SafetensorsError(path, 'InvalidTensorView', problem, name);
    };
    if (!isRecord(tensor) || !Array.isArray(tensor.shape))
      return refuse(`expected a Tensor, or an object with dtype, shape and data, got ${show(tensor)}`);
    const { dtype, shape, data } = tensor instanceof Tensor ? toWrite(tensor) : (tensor as unknown as TensorToWrite);
    if (typeof data !== 'function' && !ArrayBuffer.isView(data))
      refuse(`expected data that is a typed array or a function, got ${show(data)}`);
    if (name === METADATA_KEY) refuse('expected another name: this one is reserved for the metadata of the file');
    if (/\p{Surrogate}/u.test(name)) refuse('expected a name of whole Unicode characters, got half a surrogate pair');
    if (placed.has(name)) refuse('expected each name once, got it twice');
    if (typeof dtype !== 'string' || !isSafetensorsDType(dtype))
      refuse(`expected a dtype of ${SAFETENSORS_DTYPES.join(' ')}, got ${show(dtype)}`);
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      refuse(`expected sizes that are whole numbers from 0 on, got shape ${show(shape)}`);
    }
    const bytes = byteLength(dtype, shape);
    if (bytes === 'misaligned') refuse(`expected whole bytes, got ${dtype} [${shape.join(', ')}]`);
    if (typeof bytes !== 'bigint' || bytes > Number.MAX_SAFE_INTEGER) {
      return refuse(`expected less than 2^53 bytes, got ${dtype} [${shape.join(', ')}]`);
    }
    placed.set(name, { name, dtype, shape, data, bytes: Number(bytes) });
  }
  const rank = (tensor: PlacedTensor): number => SAFETENSORS_DTYPES.indexOf(tensor.dtype);
  return [...placed.values()].sort(
    (a, b) => rank(b) - rank(a) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
}

/** The header with its length before it, padded with spaces so that the data begins at a multiple of 8. */
function headerBytes(path: string, placed: PlacedTensor[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  let offset = 0;
  const entries = placed.map(({ name, dtype, shape, bytes }) => {
    const entry = { dtype, shape, data_offsets: [offset, (offset += bytes)] };
    return `${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  if (metadata !== undefined) {
    for (const [key, value] of Object.entries<unknown>(metadata)) {
      if (typeof value === 'string' && !/\p{Surrogate}/u.test(key + value)) continue;
      throw new SafetensorsError(path, 'InvalidTensorView', `metadata ${key}: expected a string of whole characters`);
    }
    entries.unshift(`"${METADATA_KEY}":${JSON.stringify(metadata)}`);
  }
  const json = Buffer.from(`{${entries.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    throw new SafetensorsError(
      path,
      'HeaderTooLarge',
      `expected at most ${MAX_HEADER_BYTES} bytes of header, got ${length}`,
    );
  }
  const header = Buffer.alloc(8 + length, ' ');
  header.writeBigUInt64LE(BigInt(length));
  header.set(json, 8);
  return header;
}

async function writeTensor(
  path: string,
  handle: FileHandle,
  { name, data, dtype, shape, bytes }: PlacedTensor,
): Promise<void> {
  const given = await (typeof data === 'function' ? data() : data);
  const refuse = (got: string): never => {
    const problem = `expected ${bytes} bytes for ${dtype} [${shape.join(', ')}], got ${got}`;
    throw new SafetensorsError(path, 'InvalidTensorView', problem, name);
  };
  let written = 0;
  for await (const part of ArrayBuffer.isView(given) ? [given] : given) {
    if (!ArrayBuffer.isView(part)) refuse(`${typeof part} instead of a typed array`);
    if (written + part.byteLength > bytes) refuse(`at least ${written + part.byteLength}`);
    await writeAll(handle, new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    written += part.byteLength;
  }
  if (written < bytes) refuse(`${written}`);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, Math.min(CHUNK, bytes.length - done))).bytesWritten;
  }
}
