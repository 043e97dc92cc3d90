import type { Checkpoint, ModelFiles } from '../../loader/model-files.ts';
import type { Backend, Shape } from '../../tensor/backend.ts';
import { byteSize, type DType, elements } from '../../tensor/dtype.ts';
import { floatFormat } from '../../tensor/formats/float-formats.ts';
import {
  blockRows,
  blocksAcross,
  decodePacked,
  type PackedMatrix,
  rowBytes,
} from '../../tensor/formats/packed-format.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import { own, scope } from '../../tensor/scope.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Decoder } from '../../model/parts/decoder.ts';
import { readQuantisation } from '../../model/config/quantisation.ts';
import { architectureOf, IGNORED_TENSORS } from '../../model/families/registry.ts';
import { availableMemory } from '../../platform/available-memory.ts';
import type { WeightOptions } from './load-options.ts';
import { admit, type PlannedMemory } from './memory-plan.ts';
import { type WeightPart, type WeightRequest, Weights } from '../../model/weights/weights.ts';

/** A network whose weights are loaded, and what must be disposed of with it. */
export interface LoadedNetwork {
  readonly network: Decoder;
  readonly requests: readonly WeightRequest[];
  /** Bytes of the weights in memory. */
  readonly weightBytes: number;
  /** Tokens that a text can have at most. */
  readonly maxLength: number;
  /** What a user may want to know of the weights, one line each. */
  readonly notes: readonly string[];
  dispose(): void;
}

/** @see PlannedMemory */
export interface PlannedNetwork extends PlannedMemory {
  readonly requests: readonly WeightRequest[];
  /** What a user may want to know of the weights, one line each. */
  readonly notes: readonly string[];
}

/**
 * Builds the network that config.json names and checks every shape, without reading a number.
 *
 * @throws ConfigError, CheckpointError where config.json and the weights do not fit each other or this engine.
 */
export function planNetwork(
  { config, checkpoint, source }: ModelFiles,
  { weights = 'auto', compute, mla = 'absorbed' }: Pick<WeightOptions, 'weights' | 'compute' | 'mla'> = {},
): PlannedNetwork {
  const architecture = architectureOf(config);
  const cursor = new Weights({
    source,
    tensors: checkpoint.tensors,
    keepsPacked: weights === 'auto',
    fp8Blocks: readQuantisation(architecture.config) === 'fp8',
    matrixDType: (name) => (weights === 'auto' ? storedPrecision(checkpoint, name) : weights),
    compute: (dtype) => compute ?? dtype,
  });
  const network = architecture.build(architecture.config, cursor, { mla });
  const { requests, notes } = cursor.finish(IGNORED_TENSORS);
  return {
    network,
    requests,
    notes,
    weightBytes: requests.reduce((sum, { parameter }) => sum + bytesOf(parameter), 0),
  };
}

/**
 * Builds the network and reads its weights.
 *
 * @throws LoadError where it does not fit into memory, before a weight is read; the errors of `planNetwork`, and the
 *   checkpoint's.
 */
export async function loadNetwork(
  files: ModelFiles,
  backend: Backend,
  { onProgress, signal, context, maxMemory, ...options }: WeightOptions = {},
): Promise<LoadedNetwork> {
  const compute = options.compute ?? (backend.multipliesBf16 ? undefined : 'f32');
  const plan = planNetwork(files, { ...options, compute });
  const { network, requests, weightBytes: total } = plan;
  const available = backend.usesHostMemory ? await availableMemory() : Infinity;
  const maxLength = admit(
    files.source,
    plan,
    { available, maxMemory, context },
    () => planNetwork(files, { ...options, compute, weights: 'bf16' }).weightBytes,
  );
  const dispose = (): void => {
    for (const { parameter } of requests) parameter.dispose();
  };
  try {
    let loaded = 0;
    const source = { checkpoint: files.checkpoint, signal, scratch: createScratch() };
    for (const request of requests) {
      signal?.throwIfAborted();
      await fill(request, backend, source);
      loaded += bytesOf(request.parameter);
      onProgress?.({ label: 'weights', loaded, total });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { network, requests, weightBytes: total, maxLength, notes: plan.notes, dispose };
}

/** Where the numbers of parameters are read from. */
interface Source {
  readonly checkpoint: Checkpoint;
  readonly signal: AbortSignal | undefined;
  /** Memory for what is not read straight into its place; valid until the next call. */
  readonly scratch: (bytes: number) => Uint8Array;
}

/** One piece of memory for all tensors: a new one for each would have the garbage collector look at the heap each time. */
function createScratch(): Source['scratch'] {
  let memory = new Uint8Array();
  return (bytes) => {
    if (memory.length < bytes) memory = new Uint8Array(bytes);
    return memory.subarray(0, bytes);
  };
}

/** Reads the stored parts of a parameter end to end into the memory that the backend takes over. */
async function fill({ parameter, parts }: WeightRequest, backend: Backend, source: Source): Promise<void> {
  if (parameter instanceof PackedParameter) return fillPacked(parameter, parts, backend, source);
  const { shape, dtype } = parameter;
  const bytes = backend.allocate(bytesOf(parameter));
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
  source: Source,
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
async function readPart(part: WeightPart, dtype: DType, target: Uint8Array, source: Source): Promise<void> {
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

/** Has `fillStored` write straight into the target, or through a copy where the file has the rows arranged otherwise. */
async function arranged(
  part: WeightPart,
  target: Uint8Array,
  width: number,
  { scratch }: Source,
  fillStored: (stored: Uint8Array) => Promise<void>,
): Promise<void> {
  const { shape, arrangement } = part;
  if (arrangement === undefined) return fillStored(target);
  const stored = scratch((target.length / elements(shape)) * elements(storedShape(part)));
  await fillStored(stored);
  arrangement.arrange(stored, target, shape, width);
}

const storedShape = ({ shape, arrangement }: WeightPart): Shape => arrangement?.storedShape(shape) ?? shape;

function readCodes(part: WeightPart, target: Uint8Array, source: Source): Promise<void> {
  return read(part.name, part, part.packed!.format.name === 'fp8' ? 'f8_e4m3' : 'u8', target, source);
}

async function readScales(part: WeightPart, source: Source): Promise<PackedMatrix['scales']> {
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
  { checkpoint, signal }: Source,
): Promise<void> {
  const count = target.length / byteSize(dtype);
  return checkpoint.read(name, dtype, target, signal, stack && stack.index * count);
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

function storedPrecision(checkpoint: Checkpoint, name: string): 'f32' | 'bf16' {
  const dtype = checkpoint.naturalDType(name);
  return dtype === 'f32' || dtype === 'f16' ? 'f32' : 'bf16';
}

function bytesOf(parameter: WeightRequest['parameter']): number {
  if (!(parameter instanceof PackedParameter)) return elements(parameter.shape) * byteSize(parameter.dtype);
  const { format, columns, blockRow } = parameter.layout;
  const blocksDown = blockRow.reduce((most, row) => Math.max(most, row + 1), 0);
  const scaleBytes = format.name === 'fp8' ? 4 : 1;
  return blockRow.length * rowBytes(format, columns) + blocksDown * blocksAcross(format, columns) * scaleBytes;
}
