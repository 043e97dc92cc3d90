import type { Checkpoint, ModelFiles } from '../../loader/model-files.ts';
import { readQuantisation } from '../../model/config/quantisation.ts';
import { architectureOf, IGNORED_TENSORS } from '../../model/families/registry.ts';
import type { WeightRequest } from '../../model/weights/weight-request.ts';
import { Weights } from '../../model/weights/weights.ts';
import type { WeightOptions } from './load-options.ts';
import { parameterBytes, type PlannedMemory } from './memory-plan.ts';

/** A network with every shape checked and no number read. */
export interface PlannedNetwork extends PlannedMemory {
  readonly requests: readonly WeightRequest[];
  /** Notes on the weights for the user, one line each. */
  readonly notes: readonly string[];
}

/**
 * Builds the network that config.json names and checks every shape, without reading a number.
 *
 * @throws {ConfigError} where this engine cannot run what config.json says.
 * @throws {CheckpointError} where the stored weights do not fit config.json.
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
    weightBytes: requests.reduce((sum, { parameter }) => sum + parameterBytes(parameter), 0),
  };
}

function storedPrecision(checkpoint: Checkpoint, name: string): 'f32' | 'bf16' {
  const dtype = checkpoint.naturalDType(name);
  return dtype === 'f32' || dtype === 'f16' ? 'f32' : 'bf16';
}
