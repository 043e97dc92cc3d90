import type { Backend, BinaryOp, FusedKernels, Operand, ReduceOp, UnaryOp } from './backend.ts';

/** What ops are called with beside their operands; those that are missing have nothing else. */
export interface OpSettings {
  readonly sum: { readonly axis: number };
  readonly mean: { readonly axis: number };
  readonly max: { readonly axis: number };
  readonly matmul: { readonly transposeB: boolean };
  readonly transpose: { readonly permutation: readonly number[] };
  readonly slice: { readonly begin: readonly number[] };
  readonly gather: { readonly axis: number };
  readonly concat: { readonly axis: number };
  readonly split: { readonly axis: number };
}

/** The primitives that gradients go through. */
export type TapedOp =
  | BinaryOp
  | UnaryOp
  | ReduceOp
  | 'softmax'
  | 'matmul'
  | 'reshape'
  | 'transpose'
  | 'slice'
  | 'gather'
  | 'concat'
  | 'split'
  | 'cast';

/** The settings of an op; no settings for most. */
export type SettingsOf<O extends TapedOp> = O extends keyof OpSettings ? OpSettings[O] : undefined;

/** Hears of the ops of a body: see `GradientTape`. */
export interface Tape {
  /** Whether a gradient is to be taken in what this tensor was computed from, or in itself. */
  tracks(tensor: Operand): boolean;
  /** An op of these operands gave these tensors, one but for `split`. */
  record<O extends TapedOp>(
    op: O,
    operands: readonly Operand[],
    results: readonly Operand[],
    settings: SettingsOf<O>,
  ): void;
  /** An op of one operand, whose gradient is `pull` of the result's. */
  recordWhole<T extends Operand>(operand: T, result: T, pull: (gradient: T) => T): void;
}

/** The tape of the body that runs. Ambient, and safe because bodies are synchronous: nothing can interleave. */
let active: Tape | undefined;

/** Runs a synchronous body whose ops this tape hears of; without a tape, none does. */
export function onTape<R>(tape: Tape | undefined, body: () => R): R {
  const outer = active;
  active = tape;
  try {
    return body();
  } finally {
    active = outer;
  }
}

/** Tells the tape, if there is one, of a primitive that was computed. */
export function taped<O extends TapedOp, R extends Operand | readonly Operand[]>(
  op: O,
  operands: readonly Operand[],
  result: R,
  ...[settings]: SettingsOf<O> extends undefined ? [] : [SettingsOf<O>]
): R {
  if (active === undefined) return result;
  const results = Array.isArray(result) ? (result as readonly Operand[]) : [result as Operand];
  active.record(op, operands, results, settings!);
  return result;
}

/**
 * Computes an op that has a rule of its own, instead of those of the primitives that it is made of.
 *
 * @param pull The gradient in the operand, from the gradient in the result.
 */
export function tapedWhole<T extends Operand>(operand: T, compute: () => T, pull: (gradient: T) => T): T {
  const tape = active;
  if (!tape?.tracks(operand)) return compute();
  const result = onTape(undefined, compute);
  tape.recordWhole(operand, result, pull);
  return result;
}

/** Whether a gradient goes through this tensor. */
export const tracked = (tensor: Operand): boolean => active?.tracks(tensor) ?? false;

const NO_KERNELS: FusedKernels = {};

/** A backend's kernels of whole ops; none where a gradient goes through an operand, so that the op is composed of primitives. */
export const kernelsFor = (backend: Backend, ...operands: readonly Operand[]): FusedKernels =>
  active !== undefined && operands.some(tracked) ? NO_KERNELS : backend.fused;
