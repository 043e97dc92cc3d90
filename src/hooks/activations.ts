import { nearest } from '../nearest.ts';
import { Tensor } from '../tensor/tensor.ts';
import { HookError } from './hook-error.ts';
import type { AxesOf, KeyOf } from './hook-types.ts';

/** A captured activation: a tensor that says what its axes are. It is the caller's. */
export class Captured<Axes extends string = string> extends Tensor {
  /** A letter for each axis, as in `HookPoint`: `p d`; of stacked layers `layer p d`. */
  readonly axes: Axes;

  /** @param value Its numbers are shared; it stays its owner's. */
  constructor(value: Tensor, axes: Axes) {
    const { backend, shape, dtype } = value;
    super(backend, backend.reshape(value, shape), shape, dtype);
    this.axes = axes;
  }
}

/**
 * Activations by the names that were asked for. They are the caller's: `dispose()` of what `run` gives frees them all.
 *
 * @template Names The names and globs, as literals: there are then no other keys. Default: any.
 */
export type Activations<Names extends string = string> = {
  readonly [Key in KeyOf<Names>]: Captured<AxesOf<Key>>;
} & Layers<Names>;

/** Says which layers were stacked. */
export interface Layers<Names extends string = string> {
  /**
   * The layers that `acts[key]` holds along its first axis, in this order: `[1, 2]` of `blocks.*.mlp.router.hook_logits` where layer
   * 0 has no mixture. Of a hook of one block that block, of others none. Not enumerable: the keys are the names that were asked for.
   *
   * @throws {HookError} for a key that was not captured.
   */
  layers(key: KeyOf<Names>): number[];
}

/** One entry of `activationsOf`. */
export interface CapturedGroup {
  readonly value: Captured;
  readonly layers: readonly number[];
}

/** Activations of the groups by their keys. */
export function activationsOf(groups: ReadonlyMap<string, CapturedGroup>): Activations {
  const acts = Object.fromEntries([...groups].map(([key, { value }]) => [key, value]));
  const layers = (key: string): number[] => {
    const group = groups.get(key);
    if (group === undefined)
      throw new HookError(
        `layers: "${key}" was not captured. Nearest: ${nearest(key, [...groups.keys()]).join(', ')}.`,
      );
    return [...group.layers];
  };
  return Object.defineProperty(acts, 'layers', { value: layers }) as Activations;
}
