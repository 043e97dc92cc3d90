// Rotary position embedding. Convention: half-split ("NeoX", all Hugging Face checkpoints but DeepSeek and Llama 4).
// Dimension i of the first half of a head pairs with dimension i + R/2, and pair i is rotated by p * f_i at position p:
//   y[i]       = x[i] cos - x[i + R/2] sin
//   y[i + R/2] = x[i + R/2] cos + x[i] sin         i = 0 .. R/2 - 1; dimensions from R on pass through.
// The tables below hold one column per pair, so they serve the interleaved convention (pairs 2i, 2i + 1) as well.
import type { RopeConfig, YarnScaling } from '../config/rope-config.ts';

/** A rotation: one frequency per pair, and a factor on both cosine and sine. */
export interface RopeFrequencies {
  /** [R/2], radians per position. */
  readonly frequencies: Float64Array;
  /** Multiplies cos and sin, so the rotary part of q·k scales by its square; 1 except for yarn and longrope. */
  readonly attentionScaling: number;
}

/**
 * The inverse frequencies f_i = theta^(-2i/R) after scaling, in f64.
 *
 * `length` is the number of positions in use (cached and new); `dynamic` looks at it beyond `maxPositions`, `longrope`
 * chooses its factors by it.
 * Formulas: transformers, `modeling_rope_utils.py`.
 */
export function inverseFrequencies(rope: RopeConfig, length: number): RopeFrequencies {
  const { rotaryDim: R, theta, maxPositions, scaling } = rope;
  switch (scaling.type) {
    case 'default':
      return { frequencies: powers(theta, R), attentionScaling: 1 };
    case 'linear':
      return { frequencies: powers(theta, R).map((f) => f / scaling.factor), attentionScaling: 1 };
    case 'dynamic': {
      const stretch = (scaling.factor * Math.max(length, maxPositions)) / maxPositions - (scaling.factor - 1);
      return { frequencies: powers(theta * stretch ** (R / (R - 2)), R), attentionScaling: 1 };
    }
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
      // The rotations of a pair within the original context decide: with many its frequency stays, with less than about
      // one it is interpolated, and between the two bounds it is blended.
      const frequencies = powers(theta, R).map((f) => {
        const rotations = (originalMaxPositions * f) / (2 * Math.PI);
        const keep = clamp((rotations - lowFreqFactor) / (highFreqFactor - lowFreqFactor), 0, 1);
        return (1 - keep) * (f / factor) + keep * f;
      });
      return { frequencies, attentionScaling: 1 };
    }
    case 'yarn':
      return { frequencies: yarnFrequencies(theta, R, scaling), attentionScaling: yarnAttentionScaling(scaling) };
    case 'longrope': {
      const factors = length > scaling.originalMaxPositions ? scaling.longFactors : scaling.shortFactors;
      return { frequencies: powers(theta, R).map((f, i) => f / factors[i]), attentionScaling: scaling.attentionFactor };
    }
  }
}

/**
 * Cosines and sines for each position, both [T, R/2] row-major, already multiplied by the attention scaling.
 *
 * Frequencies and angles are rounded to f32, as transformers does: at position 100 000 that moves an angle by thousandths
 * of a radian, and a model should see the angles that others run it with.
 */
export function rotationTables(
  rope: RopeConfig,
  positions: Int32Array | readonly number[],
  length: number,
): { cos: Float32Array; sin: Float32Array } {
  const { frequencies, attentionScaling } = inverseFrequencies(rope, length);
  const rounded = Float32Array.from(frequencies);
  const pairs = rounded.length;
  const cos = new Float32Array(positions.length * pairs);
  const sin = new Float32Array(positions.length * pairs);
  positions.forEach((position, t) => {
    rounded.forEach((frequency, i) => {
      const angle = Math.fround(position * frequency);
      cos[t * pairs + i] = Math.cos(angle) * attentionScaling;
      sin[t * pairs + i] = Math.sin(angle) * attentionScaling;
    });
  });
  return { cos, sin };
}

/** Texts longer than this are rotated by other angles at all of their positions; Infinity where there is no such length. */
export function ropeBorder(rope: RopeConfig | undefined): number {
  return rope?.scaling.type === 'longrope' ? rope.scaling.originalMaxPositions : Infinity;
}

/** m(s, k) of the YaRN paper (section 3.4): 1 + 0.1 k ln s for s > 1. DeepSeek also squares it into its softmax scale. */
export function yarnMagnitude(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

function powers(theta: number, R: number): Float64Array {
  return Float64Array.from({ length: R / 2 }, (_, i) => theta ** ((-2 * i) / R));
}

/** YaRN (arXiv 2309.00071): fast pairs keep their frequency, slow ones are interpolated, with a ramp between. */
function yarnFrequencies(theta: number, R: number, yarn: YarnScaling): Float64Array {
  const pairThatRotates = (times: number) =>
    (R * Math.log(yarn.originalMaxPositions / (2 * Math.PI * times))) / (2 * Math.log(theta));
  const [low, high] = [pairThatRotates(yarn.betaFast), pairThatRotates(yarn.betaSlow)];
  const from = Math.max(yarn.truncate ? Math.floor(low) : low, 0);
  let to = Math.min(yarn.truncate ? Math.ceil(high) : high, R - 1);
  if (to === from) to += 0.001;
  return powers(theta, R).map((f, i) => {
    const interpolate = clamp((i - from) / (to - from), 0, 1);
    return (f / yarn.factor) * interpolate + f * (1 - interpolate);
  });
}

function yarnAttentionScaling({ attentionFactor, factor, mscale, mscaleAllDim }: YarnScaling): number {
  if (attentionFactor !== undefined) return attentionFactor;
  if (mscale && mscaleAllDim) return yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAllDim);
  return yarnMagnitude(factor, 1);
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}
