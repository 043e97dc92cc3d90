import type { Hook } from '../tensor/hook-point.ts';

/** The hook points of a model by name, in the order of the pass. */
export type HookRegistry = ReadonlyMap<string, Hook>;

/** @param hooks Those of the network, and of the sampler where tokens are to be generated. */
export const registryOf = (hooks: readonly Hook[]): HookRegistry => new Map(hooks.map((hook) => [hook.name, hook]));

/** A hook's name with N for its layer and J for its expert: `blocks.N.mlp.experts.J.hook_out`. In a glob, `*` counts as a number. */
export const genericName = (name: string): string =>
  name.replace(/^blocks\.(\d+|\*)\./, 'blocks.N.').replace(/\.experts\.(\d+|\*)\./, '.experts.J.');
