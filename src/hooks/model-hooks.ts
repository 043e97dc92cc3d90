import type { DecoderConfig } from '../model/config/decoder-config.ts';
import type { Hook, HookPoint } from './hook-point.ts';
import { BLOCK_HOOKS, EXPERT_HOOKS, GLOBAL_HOOKS, SAMPLER_HOOKS } from './hooks.ts';

/** All hook points of a model by name, with those of the sampler if it is to generate. */
export function hooksOf(config: DecoderConfig, { sampler = false } = {}): ReadonlyMap<string, Hook> {
  const hook = (point: HookPoint, name: string, layer?: number): Hook => ({
    name,
    point,
    layer,
    idsBelow: point.idsBelow?.(config),
  });
  const exists = (point: HookPoint, layer: number): boolean => point.exists?.(config, layer) ?? true;
  const globals = [...GLOBAL_HOOKS, ...(sampler ? SAMPLER_HOOKS : [])]
    .filter((point) => exists(point, 0))
    .map((point) => hook(point, point.name));
  const inBlocks = config.windows.flatMap((_, layer) => {
    const own = BLOCK_HOOKS.filter((point) => exists(point, layer));
    const { experts } = config;
    const count = experts?.layers[layer] ? experts.count : 0;
    const inExperts = Array.from({ length: count }, (_, expert) =>
      EXPERT_HOOKS.map((point) => hook(point, `blocks.${layer}.mlp.experts.${expert}.${point.name}`, layer)),
    );
    return [...own.map((point) => hook(point, `blocks.${layer}.${point.name}`, layer)), ...inExperts.flat()];
  });
  return new Map([...globals, ...inBlocks].map((one) => [one.name, one]));
}
