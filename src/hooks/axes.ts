import type { Hook } from '../tensor/hook-point.ts';

/** The sizes of a model that hooks have as axes; `model.config` holds them. */
export interface ModelSizes {
  readonly dim: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly headDim: number;
  readonly mlpDim: number;
  readonly vocabSize: number;
  readonly latent?:
    | {
        readonly queryRank: number | undefined;
        readonly rank: number;
        readonly nopeDim: number;
        readonly ropeDim: number;
        readonly valueDim: number;
      }
    | undefined;
  readonly experts?:
    { readonly count: number; readonly perToken: number; readonly dim: number; readonly sharedDim: number } | undefined;
}

/** The sizes of a pass that hooks have as axes. */
export interface PassSizes {
  /** p: new positions. */
  readonly positions: number;
  /** t: positions with those in the cache. Default: the new ones. */
  readonly keys?: number | undefined;
  /** l: rows of logits. Default: one for each new position. */
  readonly logitRows?: number | undefined;
}

/** What an axis counts, in words, and its size; undefined where only the numbers of a pass tell. */
interface Axis {
  readonly meaning: string;
  readonly size: (model: ModelSizes, pass: PassSizes, hook: string) => number | undefined;
}

/** The letters of `HookPoint.axes`; a number stands for itself. */
export const AXES: Readonly<Record<string, Axis>> = {
  p: { meaning: 'new positions', size: (_, { positions }) => positions },
  t: { meaning: 'positions of keys, absolute', size: (_, { positions, keys = positions }) => keys },
  l: {
    meaning: 'rows whose logits are asked for',
    size: (_, { positions, logitRows = positions }) => logitRows,
  },
  d: { meaning: 'model width', size: ({ dim }) => dim },
  h: { meaning: 'query heads', size: ({ nHeads }) => nHeads },
  g: { meaning: 'key/value heads', size: ({ nKvHeads }) => nKvHeads },
  e: { meaning: 'width of a head', size: ({ headDim }) => headDim },
  e_v: { meaning: "width of a head's values", size: ({ headDim, latent }) => latent?.valueDim ?? headDim },
  e_n: { meaning: 'part of a head that is not rotated', size: ({ latent }) => latent?.nopeDim },
  e_r: { meaning: 'rotary part of a head', size: ({ latent }) => latent?.ropeDim },
  r_q: { meaning: "rank of the queries' latent", size: ({ latent }) => latent?.queryRank },
  r_kv: { meaning: 'rank of the latent of keys and values', size: ({ latent }) => latent?.rank },
  f: {
    meaning: 'width of the MLP or expert',
    size: ({ mlpDim, experts }, _, hook) => {
      if (hook.includes('.mlp.experts.')) return experts?.dim;
      return hook.includes('.mlp.shared.') ? experts?.sharedDim : mlpDim;
    },
  },
  E: { meaning: 'experts', size: ({ experts }) => experts?.count },
  k: { meaning: 'experts of each token', size: ({ experts }) => experts?.perToken },
  V: { meaning: 'vocabulary', size: ({ vocabSize }) => vocabSize },
  n: { meaning: 'any number', size: () => undefined },
};

/**
 * The shape of a hook's activation in a pass; undefined for a size that only the numbers of the pass tell, such as the rows
 * that chose an expert.
 */
export const shapeOf = (
  { name, axes }: Pick<Hook, 'name' | 'axes'>,
  model: ModelSizes,
  pass: PassSizes,
): (number | undefined)[] => axes.split(' ').map((axis) => AXES[axis]?.size(model, pass, name) ?? fixedSize(axis));

const fixedSize = (axis: string): number | undefined => (/^\d+$/.test(axis) ? Number(axis) : undefined);
