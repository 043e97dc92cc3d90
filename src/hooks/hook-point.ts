import type { DecoderConfig } from '../model/config/decoder-config.ts';

/**
 * A hook point: an activation that can be read and edited by name. Names and meanings are TransformerLens' where it has
 * them. Axes: p new positions, t key positions (absolute), l rows whose logits are asked for, d model, h query heads, g
 * key/value heads, e head width (e_v that of values, e_n and e_r its parts without rotation and with it), r_q and r_kv
 * ranks of latents, f MLP width, E experts, k experts per token, V vocabulary, n any number.
 */
export interface HookPoint {
  readonly name: string;
  readonly axes: string;
  readonly meaning: string;
  /** Computed only for listeners. */
  readonly derived?: boolean;
  /** Where an edit could change nothing, so that it is refused. */
  readonly readOnly?: ReadOnly;
  /** Of axes `h p t`: what stands at keys that a query does not see. Default 0. */
  readonly hidden?: number;
  /** Its numbers are rows of the pass. */
  readonly holdsRows?: boolean;
  /** Its numbers are ids: whole, from 0, below this. */
  readonly idsBelow?: (config: DecoderConfig) => number;
  /** Where it shows 0, an edit leaves 0: what else it would say is said by editing these hooks. */
  readonly zerosBy?: readonly string[];
  /** Where a model lacks what it shows. */
  readonly exists?: (config: DecoderConfig, layer: number) => boolean;
}

/** Why an edit is refused. */
export interface ReadOnly {
  /** Hooks of the same block whose edits have the effect. */
  readonly instead: readonly string[];
  /** What else can be done. */
  readonly or?: string;
}

/** A hook point of a model, by its full name. */
export interface Hook {
  readonly name: string;
  readonly point: HookPoint;
  /** Its block; undefined outside of blocks. */
  readonly layer: number | undefined;
  /** @see HookPoint.idsBelow */
  readonly idsBelow: number | undefined;
}

/** The full name of another hook of the same block. */
export const besides = ({ layer }: Hook, name: string): string =>
  layer === undefined ? name : `blocks.${layer}.${name}`;
