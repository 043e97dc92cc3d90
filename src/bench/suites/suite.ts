import type { Shape } from '../../tensor/shape.ts';
import type { PackedParameter } from '../../tensor/packed-parameter.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { OperandSpec } from '../inputs/operand-spec.ts';
import type { ModelShapes } from '../subject/model-shapes.ts';
import type { Phase } from '../subject/phase.ts';
import type { WeightFormat } from '../subject/weight-format.ts';

/** Sizes by their letters: `{ T: 1, K: 576, N: 1536 }`. T is the number of rows of the result. */
export type Sizes = Readonly<Record<string, number>>;

/** An op at the sizes that it has at one site of a model. */
export interface Case {
  /** The place in the model: `layers.*.mlp.down_proj`. */
  readonly site: string;
  readonly sizes: Sizes;
  /** Calls in one pass of the model. */
  readonly calls: number;
  /** The format in which the model stores the op's matrices; undefined for an op without matrices. */
  readonly stored?: WeightFormat | undefined;
}

/** The arguments of an op beside its tensors. */
export interface OpCall {
  readonly sizes: Sizes;
  /** The operands of kind `matrix`, by name, as the layers of a model have them. */
  readonly matrices: Readonly<Record<string, Parameter | PackedParameter>>;
  /** The dtype to which operands of products may be rounded. */
  readonly compute: 'f32' | 'bf16';
}

/** The largest difference between a result y and the oracle's e: `|y - e| <= relative |e| + ofRow (root mean square of e's row) + absolute`. */
export interface Tolerance {
  readonly relative: number;
  readonly ofRow: number;
  readonly absolute: number;
}

/** The description of an op, shared by all variants that compute it. */
export interface Suite {
  /** The op's name in `src/tensor/ops` and in the tests. */
  readonly name: string;
  /** The sizes that the op has in a model; empty for a model without the op. */
  readonly cases: (model: ModelShapes, phase: Phase) => readonly Case[];
  readonly operands: (sizes: Sizes, site: string) => Readonly<Record<string, OperandSpec>>;
  /**
   * The op on tensors, as the model calls it. On the `reference` backend, whose sums are in f64, this is the oracle; on
   * every other backend it is what is timed.
   */
  readonly apply: (tensors: Readonly<Record<string, Tensor>>, call: OpCall) => Tensor;
  /** The shape of the result, rows first. */
  readonly output: (sizes: Sizes) => Shape;
  /**
   * For each row of the result, the sum of its numbers times `signs`, in f64 and without computing the row: this checks every
   * element where the oracle cannot compute all rows (Freivalds, 1977). Default: none; small ops need none.
   */
  readonly signedSums?: (
    inputs: Readonly<Record<string, Float32Array>>,
    sizes: Sizes,
    signs: Float64Array,
  ) => Float64Array;
  /** Floating-point operations of a call. */
  readonly flops: (sizes: Sizes) => number;
  /** Numbers of its matrices that a call reads. Default: all of them, once. */
  readonly numbersRead?: (inputs: Readonly<Record<string, Float32Array>>, sizes: Sizes) => number;
  /** For kernels that compute in f32. */
  readonly tolerance: Tolerance;
  /** For kernels that round operands to bf16. Default: the tolerance of one product. */
  readonly bf16Tolerance?: Tolerance;
}

/** Checks a suite's types where it is declared. */
export const defineSuite = (suite: Suite): Suite => suite;

/** For operands or results rounded to bf16: half a unit of 2^-8, plus a little for sums that lie between two bf16 numbers. */
export const BF16_TOLERANCE: Tolerance = { relative: 2 ** -8, ofRow: 1e-4, absolute: 2 ** -120 };

/** For f32 sums in any order. Terms below 2^-126 do not count: some processors flush them to 0. */
export const F32_TOLERANCE: Tolerance = { relative: 1e-5, ofRow: 1e-5, absolute: 2 ** -120 };
