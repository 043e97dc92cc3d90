import type { Json } from '../../json.ts';
import { quote } from '../../quote.ts';
import type { Metadata } from './metadata.ts';
import { shortestDecimal } from './shortest-decimal.ts';

/** `low_freq_factor` and `high_freq_factor` of all published models. */
const LOW = 1;
const HIGH = 4;
/** Relative; the divisors were computed in f32. */
const TOLERANCE = 1e-4;
/** `original_max_position_embeddings` of all published models. */
const PUBLISHED_CONTEXT = 8192;

/** The facts beside the metadata that the scaling of the rotary frequencies depends on. */
export interface RopeFacts {
  /** The base of the frequencies. */
  readonly theta: number;
  readonly headDim: number;
  /** `rope_freqs.weight`: a divisor of each rotary frequency. */
  readonly divisors: Float32Array | undefined;
  /** Whether the file has LongRoPE's divisors as tensors. */
  readonly hasFactors: boolean;
}

/**
 * `rope_scaling` of config.json from the divisors, or from the keys `rope.scaling.*` and the older `rope.scale_linear`, read as
 * llama.cpp reads them. A factor without a type is linear. Null where there is no scaling.
 *
 * @throws {GgufError} when config.json cannot express the scaling
 */
export function ropeScaling(metadata: Metadata, facts: RopeFacts): Json | null {
  const prefix = metadata.need('text', 'general.architecture');
  const key = (name: string) => `${prefix}.rope.scaling.${name}`;
  const number = (name: string) => shortestDecimal(metadata.get('number', key(name)));
  const original = metadata.get('integer', key('original_context_length'));
  const type = metadata.get('text', key('type')) ?? 'linear';
  const factor = number('factor') ?? shortestDecimal(metadata.get('number', `${prefix}.rope.scale_linear`)) ?? 0;
  if (factor < 0) metadata.fail(key('factor'), `expected a number that is not negative, got ${factor}`);
  const scales = type !== 'none' && factor !== 0 && factor !== 1;

  const divided = facts.divisors && llama3Scaling(facts.divisors, facts.theta, facts.headDim, original);
  if (facts.divisors !== undefined && divided === undefined)
    metadata.fail(
      'rope_freqs.weight',
      'expected the divisors of llama3 scaling with low_freq_factor 1 and high_freq_factor 4, got others',
      REMEDY,
    );
  if (divided) {
    if (scales)
      metadata.fail(key('factor'), `expected none beside the divisors of rope_freqs.weight, got ${factor}`, REMEDY);
    return divided;
  }
  switch (type) {
    case 'none':
      return null;
    case 'linear':
      return scales ? { rope_type: 'linear', factor } : null;
    case 'yarn':
      return yarn(metadata, key, factor, original);
    case 'longrope':
      if (facts.hasFactors) return null;
  }
  return metadata.fail(key('type'), `expected none, linear or yarn, got ${quote(type)}`, REMEDY);
}

function yarn(metadata: Metadata, key: (name: string) => string, factor: number, original: number | undefined): Json {
  const number = (name: string) => shortestDecimal(metadata.get('number', key(name)));
  if (factor === 0) metadata.fail(key('factor'), 'expected the factor of yarn, got none');
  const extrapolation = number('yarn_ext_factor') ?? 1;
  if (extrapolation !== 1) metadata.fail(key('yarn_ext_factor'), `expected 1 or none, got ${extrapolation}`, REMEDY);
  // llama.cpp multiplies YaRN's own factor on cos and sin by it; config.json states the product.
  const attention = (number('attn_factor') ?? 1) * (number('yarn_attn_factor') ?? 1);
  const optional = {
    original_max_position_embeddings: original,
    beta_fast: number('yarn_beta_fast'),
    beta_slow: number('yarn_beta_slow'),
    attention_factor: attention === 1 ? undefined : attention * (0.1 * Math.log(Math.max(factor, 1)) + 1),
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return { rope_type: 'yarn', factor, ...Object.fromEntries(given) };
}

const REMEDY = 'Use the safetensors version of the model.';

/**
 * `rope_scaling` of config.json from the divisors that llama.cpp stores for Llama 3.1 and later.
 *
 * For a frequency f of wavelength w = 2π/f, with the original context O, llama3 scaling divides f by 1 where w < O/high,
 * by `factor` where w > O/low, and between them by 1 / ((1 − s)/factor + s), s = (O/w − low)/(high − low).
 * `factor` is the largest divisor, and O follows from a divisor between 1 and `factor`.
 *
 * @returns undefined when the divisors do not follow this formula; null when all of them are 1
 */
function llama3Scaling(
  divisors: Float32Array,
  theta: number,
  headDim: number,
  originalContext: number | undefined,
): Record<string, unknown> | null | undefined {
  const factor = Math.max(...divisors);
  if (divisors.length !== headDim / 2 || !(factor >= 1)) return undefined;
  if (divisors.every((divisor) => divisor === 1)) return null;
  const wavelength = (i: number) => 2 * Math.PI * theta ** ((2 * i) / headDim);

  const blended = divisors.findIndex((divisor) => divisor > 1 + TOLERANCE && divisor < factor * (1 - TOLERANCE));
  const original = originalContext ?? (blended < 0 ? PUBLISHED_CONTEXT : contextOf(divisors[blended]));
  const follows = divisors.every((divisor, i) => Math.abs(divisor / expected(i) - 1) < TOLERANCE);
  return follows
    ? {
        rope_type: 'llama3',
        factor,
        low_freq_factor: LOW,
        high_freq_factor: HIGH,
        original_max_position_embeddings: original,
      }
    : undefined;

  function contextOf(divisor: number): number {
    const s = (1 / divisor - 1 / factor) / (1 - 1 / factor);
    return Math.round(wavelength(blended) * (s * (HIGH - LOW) + LOW));
  }

  function expected(i: number): number {
    const s = (original / wavelength(i) - LOW) / (HIGH - LOW);
    const kept = Math.min(Math.max(s, 0), 1);
    return 1 / ((1 - kept) / factor + kept);
  }
}
