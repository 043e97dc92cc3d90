import type { RowPositions } from './tap.ts';
import type { Tensor } from './tensor.ts';

/** An identity between activations of one pass, declared by the part that computes them. */
export interface Invariant {
  /** What holds, in names of hooks and weights: `hook_resid_mid = hook_resid_pre + hook_attn_out`. */
  readonly formula: string;
  /** The hooks that it reads, by their names under the path of the part. The first is the left side. */
  readonly hooks: readonly string[];
  /**
   * How far the sides may be apart where products are in f32: a part of the largest number in the same row of the right side.
   * 0: they are equal to the bit.
   */
  readonly tolerance: number;
  /**
   * Both sides, of one shape: what a hook shows, and what the others make of it. Called within a scope, without observers.
   *
   * @param value The activation of one of `hooks`.
   * @param rows Where the rows of the pass are.
   */
  sides(value: (hook: string) => Tensor, rows: RowPositions): readonly [left: Tensor, right: Tensor];
}

/** An invariant of a model, its hooks by their full names. */
export interface ModelInvariant extends Invariant {
  /** The index of its block; undefined outside of blocks. */
  readonly layer: number | undefined;
}

/** The invariants of a part, their hooks under a path: `hook_post` under `mlp` is `mlp.hook_post`. Formulas stay as they are. */
export const invariantsUnder = (path: string, invariants: readonly Invariant[]): Invariant[] =>
  invariants.map((invariant) => ({
    ...invariant,
    hooks: invariant.hooks.map((hook) => `${path}.${hook}`),
    sides: (value, rows) => invariant.sides((hook) => value(`${path}.${hook}`), rows),
  }));
