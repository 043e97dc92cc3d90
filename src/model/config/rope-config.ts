import { ConfigError } from './config-error.ts';
import { above, atLeastZero, type Fields, fields, invalid, upToOne } from './config-fields.ts';
import { show } from '../../options.ts';
import { isObject, type Json } from '../../json.ts';

/** Rotary embedding as a model was trained with it, whichever style its config.json has. */
export interface RopeConfig {
  /** R: how many leading dimensions of a head are rotated; even. */
  readonly rotaryDim: number;
  readonly theta: number;
  /** max_position_embeddings. */
  readonly maxPositions: number;
  readonly scaling: RopeScaling;
}

/** How the frequencies are stretched for contexts longer than the one first trained on. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'dynamic'; readonly factor: number }
  | Llama3Scaling
  | YarnScaling
  | LongRopeScaling;

/** Llama 3.1: low frequencies are divided by `factor`, high ones stay, those between are blended. */
export interface Llama3Scaling {
  readonly type: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

/** YaRN (arXiv 2309.00071). */
export interface YarnScaling {
  readonly type: 'yarn';
  readonly factor: number;
  readonly originalMaxPositions: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Whether the bounds of the ramp are rounded to whole pairs. */
  readonly truncate: boolean;
  readonly attentionFactor: number | undefined;
  readonly mscale: number | undefined;
  readonly mscaleAllDim: number | undefined;
}

/** A divisor for each frequency, of two sets: one for texts up to the original context, one for longer ones. */
export interface LongRopeScaling {
  readonly type: 'longrope';
  readonly shortFactors: readonly number[];
  readonly longFactors: readonly number[];
  readonly originalMaxPositions: number;
  /** Multiplies cos and sin at every length. */
  readonly attentionFactor: number;
}

/** Values for what config.json leaves out. */
export interface RopeDefaults {
  readonly theta: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly partial?: boolean | undefined;
}

/**
 * Reads the rotary settings of a config.json in either style: `rope_theta` with `rope_scaling`, or one `rope_parameters`.
 * Where a setting is in both places, the nested one counts, except for `original_max_position_embeddings`; both as in
 * transformers 5.
 *
 * @param defaults `theta`, where the file gives none; `headDim`: dimensions of a head; `partial`: whether only
 *   `partial_rotary_factor` of them are rotated, which most families of transformers do not look at; `maxPositions`, where the
 *   file has no `max_position_embeddings`.
 * @throws {ConfigError} for an unknown rope type, a malformed number, and parameters nested per layer type: pick the
 *   layer type first and hand its parameters over as `rope_parameters`.
 */
export function parseRope(config: Json, defaults: RopeDefaults): RopeConfig {
  const where = (config.rope_scaling ?? undefined) === undefined ? 'rope_parameters' : 'rope_scaling';
  const nested = config[where] ?? {};
  if (!isObject(nested)) throw invalid(where, 'an object or null', nested);
  rejectLayerTypes(nested, where);
  const inner = fields(nested, where);
  const top = fields(config);

  const theta = inner.number('rope_theta', above(1)) ?? top.number('rope_theta', above(1)) ?? defaults.theta;
  const part = inner.number('partial_rotary_factor', upToOne) ?? top.number('partial_rotary_factor', upToOne) ?? 1;
  const fraction = defaults.partial ? part : 1;
  const rotaryDim = Math.trunc(defaults.headDim * fraction);
  if (rotaryDim < 2 || rotaryDim % 2 !== 0) {
    throw new ConfigError(
      `config.json: the rotary dimension must be even and at least 2, got ${rotaryDim} ` +
        `(head dimension ${defaults.headDim}, partial_rotary_factor ${fraction})`,
    );
  }
  const maxPositions = top.number('max_position_embeddings', above(0)) ?? defaults.maxPositions;
  const originalMaxPositions =
    top.number('original_max_position_embeddings', above(0)) ??
    inner.number('original_max_position_embeddings', above(0)) ??
    maxPositions;
  const scaling = parseScaling(inner, nested, where, { rotaryDim, maxPositions, originalMaxPositions });
  if (part !== fraction && scaling.type !== 'default')
    throw new ConfigError(
      `config.json: partial_rotary_factor ${part} with rope type ${show(scaling.type)} is not supported in this architecture.`,
    );
  if (scaling.type === 'dynamic' && rotaryDim === 2) {
    throw new ConfigError('config.json: dynamic rope scaling needs a rotary dimension above 2, got 2');
  }
  return { rotaryDim, theta, maxPositions, scaling };
}

function parseScaling(
  inner: Fields,
  nested: Json,
  where: string,
  sizes: { readonly rotaryDim: number; readonly maxPositions: number; readonly originalMaxPositions: number },
): RopeScaling {
  const { rotaryDim, maxPositions, originalMaxPositions } = sizes;
  const typeKey = nested.rope_type === undefined && nested.type !== undefined ? 'type' : 'rope_type';
  const type: unknown = nested[typeKey] ?? 'default';
  switch (type) {
    case 'default':
      return { type };
    case 'linear':
    case 'dynamic':
      return { type, factor: inner.required('factor', above(0)) };
    case 'llama3': {
      const lowFreqFactor = inner.required('low_freq_factor', above(0));
      return {
        type,
        factor: inner.required('factor', above(0)),
        lowFreqFactor,
        highFreqFactor: inner.required('high_freq_factor', above(lowFreqFactor, 'low_freq_factor')),
        originalMaxPositions,
      };
    }
    case 'yarn': {
      const betaSlow = inner.number('beta_slow', above(0)) ?? 1;
      const betaFast = inner.number('beta_fast', above(0)) ?? 32;
      if (betaFast < betaSlow) throw invalid(`${where}.beta_fast`, `at least beta_slow, ${betaSlow}`, betaFast);
      return {
        type,
        factor: inner.number('factor', above(0)) ?? maxPositions / originalMaxPositions,
        originalMaxPositions,
        betaFast,
        betaSlow,
        truncate: inner.boolean('truncate') ?? true,
        attentionFactor: inner.number('attention_factor', above(0)),
        mscale: inner.number('mscale', atLeastZero),
        mscaleAllDim: inner.number('mscale_all_dim', atLeastZero),
      };
    }
    case 'longrope':
    case 'su': {
      const factor = inner.number('factor', above(0)) ?? maxPositions / originalMaxPositions;
      const stretched = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));
      return {
        type: 'longrope',
        shortFactors: inner.numbers('short_factor', rotaryDim / 2, above(0)),
        longFactors: inner.numbers('long_factor', rotaryDim / 2, above(0)),
        originalMaxPositions,
        attentionFactor: inner.number('attention_factor', above(0)) ?? stretched,
      };
    }
    default:
      throw new ConfigError(
        `config.json: ${where}.rope_type ${show(type)} is not supported (supported: default, linear, dynamic, llama3, yarn, longrope)`,
      );
  }
}

function rejectLayerTypes(nested: Json, where: string): void {
  const layerTypes = Object.keys(nested).filter((key) => isObject(nested[key]));
  if (layerTypes.length > 0) {
    throw new ConfigError(
      `config.json: ${where} holds one set of parameters per layer type (${layerTypes.join(', ')}); ` +
        'this architecture expects one set for all layers',
    );
  }
}
