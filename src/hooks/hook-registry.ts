import type { Hook } from '../tensor/hook-point.ts';

/** The hook points of a model by name, in the order of the pass. */
export type HookRegistry = ReadonlyMap<string, Hook>;

/** @param hooks Those of the network, and of the sampler where tokens are to be generated. */
export const registryOf = (hooks: readonly Hook[]): HookRegistry => new Map(hooks.map((hook) => [hook.name, hook]));
