import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** The tensors of an op whose numbers a rule can read: its first two operands, and its result. */
export type Read = 'a' | 'b' | 'y';

/** A call of an op, as its rule reads it. */
export interface Call<S> {
  /** Only those that the rule `reads` are there. */
  readonly tensors: Readonly<Record<Read, Tensor>>;
  /** The shapes of all operands. */
  readonly shapes: readonly Shape[];
  /** The operand whose gradient is asked for. */
  readonly operand: number;
  readonly settings: S;
}

/**
 * The vector-Jacobian product of an op in one operand: the gradient of a number in the operand, from its gradient `g` in
 * the op's result `y`.
 */
export interface Rule<S> {
  /** What is kept in memory until the gradient is taken. */
  readonly reads: readonly Read[];
  readonly pull: (g: Tensor, call: Call<S>) => Tensor;
}

/** A rule, with the tensors that it reads. */
export function rule<S>(
  reads: readonly Read[],
  pull: (g: Tensor, tensors: Call<S>['tensors'], call: Call<S>) => Tensor,
): Rule<S> {
  return { reads, pull: (g, call) => pull(g, call.tensors, call) };
}
