import type { PackedMatrix } from '../tensor/formats/packed-format.ts';
import type { OperandSpec, Sizes, Suite, Tolerance } from './suite.ts';
import { BF16_TOLERANCE } from './suite.ts';
import type { Tier } from './tier.ts';
import type { WeightFormat } from './weight-format.ts';

/** The arrays that an op reads, by name; weights are numbers that bf16 holds. */
export type Inputs = Readonly<Record<string, Float32Array>>;

/** What a variant gets ready for: fresh inputs of one case. */
export interface Task {
  readonly suite: Suite;
  readonly site: string;
  readonly sizes: Sizes;
  readonly operands: Readonly<Record<string, OperandSpec>>;
  readonly inputs: Inputs;
  /** The matrices in codes, where the model stores them so: the same numbers as in `inputs`. */
  readonly packed: Readonly<Record<string, PackedMatrix>>;
  /** How many copies of the weights to lay out in memory; a call names the one that it reads. */
  readonly copies: number;
}

/** A variant with the inputs of a case in its hands. */
export interface Prepared {
  /** One call of the op. */
  run(copy: number): void;
  /** The result of one more call. */
  result(copy: number): Float32Array;
  /** The kernels that one more call really runs, in order. */
  kernels(): readonly string[];
  /** How the code that computes it is compiled now. Default: not known. */
  readonly tier?: () => Tier | undefined;
  dispose(): void;
}

/** One way to compute an op. */
export interface Variant {
  readonly name: string;
  /** How it has the matrices stored. */
  readonly weights: WeightFormat;
  /** What operands are rounded to inside a product. The oracle then gets them rounded. */
  readonly compute: 'f32' | 'bf16';
  prepare(task: Task): Prepared;
}

export const toleranceOf = (
  { tolerance, bf16Tolerance = BF16_TOLERANCE }: Suite,
  { compute }: Pick<Variant, 'compute'>,
): Tolerance => (compute === 'bf16' ? bf16Tolerance : tolerance);
