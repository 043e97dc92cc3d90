import type { PackedMatrix } from '../../tensor/formats/packed-format.ts';
import type { OperandSpec } from '../inputs/operand-spec.ts';
import { BF16_TOLERANCE, type Sizes, type Suite, type Tolerance } from '../suites/suite.ts';
import type { Tier } from '../timing/compiler-tier.ts';
import type { WeightFormat } from '../subject/weight-format.ts';

/** The arrays that an op reads, by name; weights are numbers that bf16 represents exactly. */
export type Inputs = Readonly<Record<string, Float32Array>>;

/** A case with its inputs, for a variant to prepare. */
export interface Task {
  readonly suite: Suite;
  readonly site: string;
  readonly sizes: Sizes;
  readonly operands: Readonly<Record<string, OperandSpec>>;
  readonly inputs: Inputs;
  /** The matrices in codes, where the model stores them so; they decode to the numbers in `inputs`. */
  readonly packed: Readonly<Record<string, PackedMatrix>>;
  /** The number of copies of the weights to lay out in memory; a call names the one that it reads. */
  readonly copies: number;
}

/** A variant with the inputs of a case, ready to run. */
export interface Prepared {
  /** Calls the op once on a copy of the weights. */
  run(copy: number): void;
  /** Calls the op once, and gives its result, row-major. */
  result(copy: number): Float32Array;
  /** Calls the op once, and gives the kernels that ran, in order. */
  kernels(): readonly string[];
  /** The compiler tier of its code now. Default: unknown. */
  readonly tier?: () => Tier | undefined;
  dispose(): void;
}

/** One way to compute an op. */
export interface Variant {
  readonly name: string;
  /** The format in which it gets the matrices. */
  readonly weights: WeightFormat;
  /** The dtype to which it rounds activations inside a product. For bf16, the oracle gets them rounded too. */
  readonly compute: 'f32' | 'bf16';
  prepare(task: Task): Prepared;
}

/** The tolerance that a variant is held to. */
export const toleranceOf = (
  { tolerance, bf16Tolerance = BF16_TOLERANCE }: Suite,
  { compute }: Pick<Variant, 'compute'>,
): Tolerance => (compute === 'bf16' ? bf16Tolerance : tolerance);
