import { fields, invalid, upTo } from './config-fields.ts';
import type { Json } from '../../json.ts';

/** The window that `sliding_window` gives, in tokens; Infinity for null or 0. */
export function slidingWindow(raw: Json, absent: number): number {
  if (raw.sliding_window === null || raw.sliding_window === 0) return Infinity;
  return fields(raw).integer('sliding_window', upTo(2 ** 24)) ?? absent;
}

/**
 * Whether each layer has a sliding window: by `layer_types` or, where it is absent, by the family's rule. The list may be
 * longer than the model has layers.
 *
 * @throws {ConfigError} for a shorter list, and for a type that is not known.
 */
export function slidingLayers(raw: Json, nLayers: number, rule: (layer: number) => boolean): boolean[] {
  const types: unknown = raw.layer_types ?? undefined;
  if (types === undefined) return Array.from({ length: nLayers }, (_, layer) => rule(layer));
  if (!Array.isArray(types) || types.length < nLayers)
    throw invalid('layer_types', `a list of ${nLayers} types, one for each layer`, types);
  return types.slice(0, nLayers).map((type: unknown, layer) => {
    if (type === 'sliding_attention' || type === 'full_attention') return type === 'sliding_attention';
    throw invalid(`layer_types[${layer}]`, '"full_attention" or "sliding_attention"', type);
  });
}

/** The window of each layer: `window` where it slides, Infinity elsewhere. */
export const windowsOf = (sliding: readonly boolean[], window: number): number[] =>
  sliding.map((slides) => (slides ? window : Infinity));

/** The rule of a family for its sliding windows, where config.json has no `layer_types`, and no `sliding_window`. */
export interface SlidingRule {
  readonly slides: (layer: number) => boolean;
  /** Tokens; Infinity for no window. */
  readonly window: number;
}

/** The window of each layer, by config.json and the family's rule; Infinity where a layer does not slide. */
export const slidingWindows = (raw: Json, nLayers: number, { slides, window }: SlidingRule): number[] =>
  windowsOf(slidingLayers(raw, nLayers, slides), slidingWindow(raw, window));
