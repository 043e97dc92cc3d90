import type { ModelFiles } from '../../loader/model-files.ts';
import type { Decoder } from '../../model/parts/decoder.ts';
import type { WeightRequest } from '../../model/weights/weight-request.ts';
import { availableMemory } from '../../platform/available-memory.ts';
import type { Backend } from '../../tensor/backend.ts';
import type { Compute } from '../../tensor/compute.ts';
import type { WeightOptions } from './load-options.ts';
import { admit, parameterBytes } from './memory-plan.ts';
import { planNetwork } from './plan-network.ts';
import { createScratch, readWeight } from './read-weights.ts';

/** A network whose weights are loaded; `dispose` frees them. */
export interface LoadedNetwork {
  readonly network: Decoder;
  readonly requests: readonly WeightRequest[];
  /** Bytes of the weights in memory. */
  readonly weightBytes: number;
  /** Tokens that a text can have at most. */
  readonly maxLength: number;
  /** The dtype of products that was asked for. */
  readonly compute: Compute | undefined;
  /** Notes on the weights for the user, one line each. */
  readonly notes: readonly string[];
  dispose(): void;
}

/**
 * Builds the network and reads its weights.
 *
 * @throws {LoadError} where it does not fit into memory, before a weight is read.
 * @throws {VitrineError} as `planNetwork` and the checkpoint do.
 */
export async function loadNetwork(
  files: ModelFiles,
  backend: Backend,
  { onProgress, signal, context, maxMemory, ...options }: WeightOptions = {},
): Promise<LoadedNetwork> {
  const compute = options.compute ?? (backend.multipliesBf16 ? undefined : 'f32');
  const plan = planNetwork(files, { ...options, compute });
  const { network, requests, weightBytes: total } = plan;
  const available = backend.usesHostMemory ? availableMemory() : Infinity;
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
      await readWeight(request, backend, source);
      loaded += parameterBytes(request.parameter);
      onProgress?.({ label: 'weights', loaded, total });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { network, requests, weightBytes: total, maxLength, compute: options.compute, notes: plan.notes, dispose };
}
