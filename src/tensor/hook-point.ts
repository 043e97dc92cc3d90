/**
 * A hook point: an activation that can be read and edited by name, declared by the part that taps it. Names and meanings
 * are TransformerLens' where it has them.
 *
 * Axes: p new positions, t key positions (absolute), l rows whose logits are asked for, d model width, h query heads, g
 * key/value heads, e head width (e_v that of values, e_n and e_r its parts without rotation and with it), r_q and r_kv
 * ranks of latents, f width of the MLP or expert, E experts, k experts per token, V vocabulary, n any number.
 */
export interface HookPoint {
  /** Under the path of the part that declares it: `hook_scale` of a norm is `blocks.0.ln1.hook_scale` in a model. */
  readonly name: string;
  readonly axes: string;
  readonly meaning: string;
  /** The layers or models that have it, as the subject of a sentence: `layers with attention sinks`. Absent: all have it. */
  readonly only?: string;
  /** Whether it is computed only for observers. Default false. */
  readonly derived?: boolean;
  /** Present where an edit could change nothing, so that it is refused. */
  readonly readOnly?: ReadOnly;
  /** The value at keys that a query does not see (axes `h p t`), or at heads that lack what it shows (axis `h`). Default 0. */
  readonly hidden?: number;
  /** Whether its numbers are rows of the pass. Default false. */
  readonly holdsRows?: boolean;
  /** Its numbers are ids: whole, from 0, below this. Absent: they are not ids. */
  readonly idsBelow?: number;
  /** Where it is 0, an edit has to leave 0; these hooks of the same block change which of its numbers are 0. */
  readonly zerosBy?: readonly string[];
}

/** Why an edit is refused. */
export interface ReadOnly {
  /** Hooks of the same block whose edits have the effect. */
  readonly instead: readonly string[];
  /** What else can be done. */
  readonly or?: string;
}

/** A hook point of a model, its name the full one. */
export interface Hook extends HookPoint {
  /** The index of its block; undefined outside of blocks. */
  readonly layer: number | undefined;
}

/** What a part names, by its names under a path: `hook_scale` under `ln1` is `ln1.hook_scale`. */
export const under = <T extends { readonly name: string }>(path: string, points: readonly T[]): T[] =>
  points.map((point) => ({ ...point, name: `${path}.${point.name}` }));

/** Hook points that only some layers or models have; those that name fewer themselves keep that. */
export const onlyIn = (only: string, points: readonly HookPoint[]): HookPoint[] =>
  points.map((point) => ({ ...point, only: point.only ?? only }));
