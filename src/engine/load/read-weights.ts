import type { Checkpoint } from '../../loader/model-files.ts';
import type { WeightPart, WeightRequest } from '../../model/weights/weight-request.ts';
import type { Backend } from '../../tensor/backend.ts';
import type { Shape } from '../../tensor/shape.ts';
import { byteSize, type DType, elements } from '../../tensor/dtype.ts';
import { floatFormat } from '../../tensor/formats/float-formats.ts';
import { blockRows, decodePacked, type PackedMatrix, rowBytes } from '../../tensor/formats/packed-format.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import { own, scope } from '../../tensor/scope.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { parameterBytes } from './memory-plan.ts';

/** Where the numbers of parameters are read from. */
export interface WeightSource {
  readonly checkpoint: Checkpoint;
  readonly signal: AbortSignal | undefined;
  /** Memory for what is not read straight into its place; valid until the next call. */
  readonly scratch: (bytes: number) => Uint8Array;
}

/** Memory that all tensors share: a new one for each would start the garbage collector each time. */
export function createScratch(): WeightSource['scratch'] {
  let memory = new Uint8Array();
  return (bytes) => {
    if (memory.length < bytes) memory = new Uint8Array(bytes);
    return memory.subarray(0, bytes);
  };
}

/** Fills a parameter: its stored parts are read end to end into memory that the backend takes over. */
export async function readWeight(
  { parameter, parts }: WeightRequest,
  backend: Backend,
  source: WeightSource,
): Promise<void> {
  if (parameter instanceof PackedParameter) return fillPacked(parameter, parts, backend, source);
  const { shape, dtype } = parameter;
  const bytes = backend.allocate(parameterBytes(parameter));
  await discardOnError(backend, bytes, async () => {
    let at = 0;
    for (const part of parts) {
      const size = elements(part.shape) * byteSize(dtype);
      await readPart(part, dtype, bytes.subarray(at, at + size), source);
      at += size;
    }
  });
  parameter.fill(scope('', () => own(new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype))));
}

async function discardOnError(backend: Backend, bytes: Uint8Array, read: () => Promise<void>): Promise<void> {
  try {
    await read();
  } catch (error) {
    backend.discard(bytes);
    throw error;
  }
}

/** Codes and factors as they are stored; only rows that the file has in another order are moved. */
async function fillPacked(
  parameter: PackedParameter,
  parts: readonly WeightPart[],
  backend: Backend,
  source: WeightSource,
): Promise<void> {
  const { format, columns, blockRow } = parameter.layout;
  const codes = backend.allocate(blockRow.length * rowBytes(format, columns));
  const scales: PackedMatrix['scales'][] = [];
  await discardOnError(backend, codes, async () => {
    let at = 0;
    for (const part of parts) {
      const target = codes.subarray(at, (at += part.shape[0] * rowBytes(format, columns)));
      await arranged(part, target, 1, source, (stored) => readCodes(part, stored, source));
      scales.push(await readScales(part, source));
    }
  });
  parameter.fill(backend, { format, columns, blockRow, codes, scales: joinedScales(scales) });
}

/** Reads a part as `dtype`, decoding it if it is in codes and factors. */
async function readPart(part: WeightPart, dtype: DType, target: Uint8Array, source: WeightSource): Promise<void> {
  const { packed } = part;
  await arranged(part, target, byteSize(dtype), source, async (stored) => {
    if (packed === undefined) return read(part.name, part, dtype, stored, source);
    const [rows, columns] = storedShape(part);
    const codes = new Uint8Array(rows * rowBytes(packed.format, columns));
    await readCodes(part, codes, source);
    const scales = await readScales(part, source);
    const blockRow = blockRows(packed.format, rows);
    floatFormat(dtype).encode(decodePacked({ format: packed.format, columns, blockRow, codes, scales }), stored);
  });
}

/** Has `fillStored` write straight into the target or, where the file arranges the rows otherwise, into a copy. */
async function arranged(
  part: WeightPart,
  target: Uint8Array,
  width: number,
  { scratch }: WeightSource,
  fillStored: (stored: Uint8Array) => Promise<void>,
): Promise<void> {
  const { shape, arrangement } = part;
  if (arrangement === undefined) return fillStored(target);
  const stored = scratch((target.length / elements(shape)) * elements(storedShape(part)));
  await fillStored(stored);
  arrangement.arrange(stored, target, shape, width);
}

const storedShape = ({ shape, arrangement }: WeightPart): Shape => arrangement?.storedShape(shape) ?? shape;

function readCodes(part: WeightPart, target: Uint8Array, source: WeightSource): Promise<void> {
  return read(part.name, part, part.packed!.format.name === 'fp8' ? 'f8_e4m3' : 'u8', target, source);
}

async function readScales(part: WeightPart, source: WeightSource): Promise<PackedMatrix['scales']> {
  const { format, scales: name } = part.packed!;
  const [rows, columns] = storedShape(part);
  const count = elements(format.published(rows, columns).scales);
  const dtype = source.checkpoint.naturalDType(name) === 'u8' ? 'u8' : 'f32';
  const bytes = new Uint8Array(count * byteSize(dtype));
  await read(name, part, dtype, bytes, source);
  return dtype === 'u8' ? bytes : new Float32Array(bytes.buffer);
}

/** One of the tensors of a part: the whole, or its place in a stack. */
function read(
  name: string,
  { stack }: WeightPart,
  dtype: DType,
  target: Uint8Array,
  { checkpoint, signal }: WeightSource,
): Promise<void> {
  const count = target.length / byteSize(dtype);
  return checkpoint.read(name, dtype, target, signal, stack === undefined ? undefined : stack.index * count);
}

function joinedScales(parts: readonly PackedMatrix['scales'][]): PackedMatrix['scales'] {
  const [first] = parts;
  if (parts.length === 1) return first;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const joined = first instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
