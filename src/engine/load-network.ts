import type { Checkpoint, ModelFiles } from '../loader/checkpoint.ts';
import type { OnProgress } from '../loader/progress.ts';
import { byteSize, type DType, elements } from '../tensor/dtype.ts';
import type { Backend } from '../tensor/backend.ts';
import { keep, scope } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Decoder } from '../model/parts/decoder.ts';
import { architectureOf, IGNORED_TENSORS } from '../model/registry.ts';
import { availableMemory } from './available-memory.ts';
import { admit, type PlannedMemory } from './memory.ts';
import { type WeightPart, type WeightRequest, Weights } from '../model/weights.ts';

export interface WeightOptions {
  /**
   * The dtype of matrices in memory. `auto` (default) keeps f32 and bf16 as they are stored; f16 becomes f32, and
   * 8-bit floats and quantised formats become bf16.
   */
  weights?: 'auto' | 'f32' | 'bf16';
  /** The dtype of operands inside matrix products; default: that of the matrix where the processor multiplies it. */
  compute?: 'f32' | 'bf16' | undefined;
  /** Tokens that a text is to have at most. Default: as many as the model was made for or, where fewer fit, as fit. */
  context?: number | undefined;
  /** Bytes that the model may take, weights, cache and activations. Default: nine tenths of what the machine has left. */
  maxMemory?: number | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** A network whose weights are loaded, and what must be disposed of with it. */
export interface LoadedNetwork {
  readonly network: Decoder;
  /** Bytes of the weights in memory. */
  readonly weightBytes: number;
  /** Tokens that a text can have; Infinity where only the model itself sets a bound. */
  readonly maxLength: number;
  dispose(): void;
}

/** @see PlannedMemory */
export interface PlannedNetwork extends PlannedMemory {
  readonly requests: readonly WeightRequest[];
}

/**
 * Builds the network that config.json names and checks every shape, without reading a number.
 *
 * @throws ConfigError, CheckpointError where config.json and the weights do not fit each other or this engine.
 */
export function planNetwork(
  { config, checkpoint, source }: ModelFiles,
  { weights = 'auto', compute }: Pick<WeightOptions, 'weights' | 'compute'> = {},
): PlannedNetwork {
  const cursor = new Weights({
    source,
    tensors: checkpoint.tensors,
    matrixDType: (name) => (weights === 'auto' ? storedPrecision(checkpoint, name) : weights),
    compute: (dtype) => compute ?? dtype,
  });
  const network = architectureOf(config)(config, cursor);
  const requests = cursor.requests(IGNORED_TENSORS);
  return { network, requests, weightBytes: requests.reduce((sum, { parameter }) => sum + bytesOf(parameter), 0) };
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
    for (const request of requests) {
      signal?.throwIfAborted();
      await fill(request, files.checkpoint, backend, signal);
      loaded += bytesOf(request.parameter);
      onProgress?.({ label: 'weights', loaded, total });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { network, weightBytes: total, maxLength, dispose };
}

/** Reads the stored parts of a parameter end to end into the memory that the backend takes over. */
async function fill(
  { parameter, parts }: WeightRequest,
  checkpoint: Checkpoint,
  backend: Backend,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { shape, dtype } = parameter;
  const bytes = backend.allocate(bytesOf(parameter));
  try {
    let at = 0;
    for (const part of parts) {
      const size = elements(part.shape) * byteSize(dtype);
      await readPart(part, dtype, bytes.subarray(at, at + size), checkpoint, signal);
      at += size;
    }
  } catch (error) {
    backend.discard(bytes);
    throw error;
  }
  parameter.fill(scope('', () => keep(new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype))));
}

/** Straight into its place, or through a copy where the file has it arranged otherwise. */
async function readPart(
  { name, shape, arrangement }: WeightPart,
  dtype: DType,
  target: Uint8Array,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (arrangement === undefined) return checkpoint.read(name, dtype, target, signal);
  const stored = new Uint8Array(elements(arrangement.storedShape(shape)) * byteSize(dtype));
  await checkpoint.read(name, dtype, stored, signal);
  arrangement.arrange(stored, target, shape, byteSize(dtype));
}

function storedPrecision(checkpoint: Checkpoint, name: string): 'f32' | 'bf16' {
  const dtype = checkpoint.naturalDType(name);
  return dtype === 'f32' || dtype === 'f16' ? 'f32' : 'bf16';
}

const bytesOf = ({ shape, dtype }: WeightRequest['parameter']): number => elements(shape) * byteSize(dtype);
