import type { Model } from '../../src/engine/model.ts';
import type { DecoderConfig } from '../../src/model/config/decoder-config.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** Numbers with their shape, row-major. */
export interface Numbers {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** The numbers of a tensor, which is freed. */
export function taken(tensor: Tensor): Numbers {
  using owned = tensor;
  return { shape: owned.shape, values: Float64Array.from(owned.data()) };
}

/** `x W + b` by coordinates, in f64: `[T, in]` by `[in, out]` is `[T, out]`, by `[heads, in, out]` it is `[T, heads, out]`. */
export function applied(x: Numbers, W: Numbers, b?: Numbers): Numbers {
  const [T, I] = x.shape;
  const O = W.shape.at(-1)!;
  const heads = W.shape.length === 3 ? W.shape[0] : 1;
  const values = new Float64Array(T * heads * O);
  for (let t = 0; t < T; t++)
    for (let h = 0; h < heads; h++)
      for (let o = 0; o < O; o++) {
        let sum = b ? b.values[h * O + o] : 0;
        for (let i = 0; i < I; i++) sum += x.values[t * I + i] * W.values[(h * I + i) * O + o];
        values[(t * heads + h) * O + o] = sum;
      }
  return { shape: W.shape.length === 3 ? [T, heads, O] : [T, O], values };
}

/** `sum over heads of z[h] W[h], + b`: `[T, H, d]` by `[H, d, D]` is `[T, D]`. */
export function mixed(z: Numbers, W: Numbers, b?: Numbers): Numbers {
  const [T, H, d] = z.shape;
  const flat = { shape: [T, H * d], values: z.values };
  return applied(flat, { shape: [H * d, W.shape[2]], values: W.values }, b); // Heads lie one after the other in both.
}

/** Rows of a matrix. */
export function rowsOf({ shape, values }: Numbers, rows: readonly number[]): Numbers {
  const width = values.length / shape[0];
  const out = new Float64Array(rows.length * width);
  for (const [i, row] of rows.entries()) out.set(values.subarray(row * width, (row + 1) * width), i * width);
  return { shape: [rows.length, ...shape.slice(1)], values: out };
}

/** `x w + b`, elementwise over the last axes. */
export function scaled(x: Numbers, w: Numbers, b?: Numbers): Numbers {
  const width = w.values.length;
  const values = Float64Array.from(x.values, (v, i) => v * w.values[i % width] + (b ? b.values[i % width] : 0));
  return { shape: x.shape, values };
}

/** Each group of `width` numbers divided by its root mean square. */
export function normed(x: Numbers, width: number, epsilon: number): Numbers {
  const values = Float64Array.from(x.values);
  for (let from = 0; from < values.length; from += width) {
    const own = values.subarray(from, from + width);
    const rms = Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / width + epsilon);
    own.forEach((v, i) => (own[i] = v / rms));
  }
  return { shape: x.shape, values };
}

/** The size that each letter of a weight's axes stands for in layer `layer`. */
export function sizesOf(model: Model, layer: number | undefined, name: string): Readonly<Record<string, number>> {
  const { config } = model;
  const { latent } = config;
  return {
    V: config.vocabSize,
    P: config.maxPositions,
    D: config.dim,
    H: config.nHeads,
    K: config.nKvHeads,
    d: config.headDim,
    E: config.experts?.count ?? NaN,
    F: widthOf(config, layer, name),
    r: latent?.rank ?? NaN,
    rq: latent?.queryRank ?? NaN,
    dn: latent?.nopeDim ?? NaN,
    dr: latent?.ropeDim ?? NaN,
    dv: latent?.valueDim ?? NaN,
  };
}

function widthOf({ experts, mlpDim }: DecoderConfig, layer: number | undefined, name: string): number {
  if (!experts || layer === undefined || !experts.layers[layer]) return mlpDim;
  return name.includes('.shared.') ? experts.sharedDim : experts.dim;
}

/** The sizes of axes as they are written: `H D dn+dr`, `H*d`. */
export const sizesOfAxes = (axes: string, sizes: Readonly<Record<string, number>>): number[] =>
  axes.split(' ').map((axis) =>
    axis
      .split('+')
      .map((term) => term.split('*').reduce((product, letter) => product * sizes[letter], 1))
      .reduce((sum, term) => sum + term, 0),
  );
