import type { Shape } from '../tensor/backend.ts';
import type { PackedParameter } from '../tensor/packed-parameter.ts';
import type { Parameter } from '../tensor/parameter.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Draw } from './inputs.ts';
import type { ModelShapes } from './model-shapes.ts';
import type { WeightFormat } from './weight-format.ts';

/** Sizes by their letters: `{ T: 1, K: 576, N: 1536 }`. T is the rows of the result. */
export type Sizes = Readonly<Record<string, number>>;

/** How many tokens pass through a model at once; `depth` of them, the last included, are in the cache while one is decoded. */
export interface Phase {
  readonly name: string;
  readonly tokens: number;
  readonly depth: number;
}

/** An op at the sizes that it has at one place of a model. */
export interface Case {
  /** Where in the model: `layers.*.mlp.down_proj`. */
  readonly site: string;
  readonly sizes: Sizes;
  /** How often one pass of the model calls it. */
  readonly calls: number;
  /** How the model stores the matrices that are read here; undefined where there are none. */
  readonly stored?: WeightFormat | undefined;
}

/**
 * An array that an op reads.
 * `activation`: drawn anew by the distribution that is measured, and in the cache of the processor as in a real pass.
 * `matrix`: a weight, in numbers or in codes, of which there are cold copies while a token is decoded.
 * `store`: keys or values of a KV cache, f32, cold as well.
 * `vector`: a gain, angles, a mask: f32, read by many.
 * `indices`: whole numbers, i32.
 */
export interface OperandSpec {
  readonly kind: 'activation' | 'matrix' | 'store' | 'vector' | 'indices';
  readonly shape: Shape;
  readonly fill: (draw: Draw, count: number) => Float32Array;
  /** Whether its first axis is the rows of the result. */
  readonly rows: boolean;
  /** The hook point that holds such an array in a real pass. Default: none, it is drawn. */
  readonly hook?: string | undefined;
  /** What the op is given for what was recorded. Default: the same. */
  readonly fit?: ((recorded: Float32Array) => Float32Array) | undefined;
}

/** What an op has beside its tensors. */
export interface Call {
  readonly sizes: Sizes;
  /** The operands that are matrices, by name, as the layers of a model have them. */
  readonly matrices: Readonly<Record<string, Parameter | PackedParameter>>;
  /** What operands of products may be rounded to. */
  readonly compute: 'f32' | 'bf16';
}

/** How far from the oracle a result may be: `|y - e| <= relative |e| + ofRow (root mean square of e's row) + absolute`. */
export interface Tolerance {
  readonly relative: number;
  readonly ofRow: number;
  readonly absolute: number;
}

/** What is known of an op, whoever computes it. */
export interface Suite {
  /** The op's name in `src/tensor/ops` and in the tests. */
  readonly name: string;
  /** The true sizes in a model; none where the model does not have the op. */
  readonly cases: (model: ModelShapes, phase: Phase) => readonly Case[];
  readonly operands: (sizes: Sizes, site: string) => Readonly<Record<string, OperandSpec>>;
  /**
   * The op on tensors, as the model calls it. On the `reference` backend, whose sums are in f64, it is the oracle; on
   * another it is what is measured.
   */
  readonly apply: (tensors: Readonly<Record<string, Tensor>>, call: Call) => Tensor;
  readonly output: (sizes: Sizes) => Shape;
  /**
   * Of each row of the result, the sum of its numbers times `signs`, in f64 and without computing the row: so that no element
   * goes unchecked where the oracle cannot compute all rows (Freivalds, 1977). Default: none; small ops need none.
   */
  readonly signedSums?: (
    inputs: Readonly<Record<string, Float32Array>>,
    sizes: Sizes,
    signs: Float64Array,
  ) => Float64Array;
  readonly flops: (sizes: Sizes) => number;
  /** How many numbers of its matrices a call reads. Default: all, once. */
  readonly numbersRead?: (inputs: Readonly<Record<string, Float32Array>>, sizes: Sizes) => number;
  /** For f32 kernels. */
  readonly tolerance: Tolerance;
  /** For kernels that round to bf16. Default: that of one product. */
  readonly bf16Tolerance?: Tolerance;
}

/** Checks a suite's types where it is declared. */
export const defineSuite = (suite: Suite): Suite => suite;

/** What a result may lack where the operands or the result itself are rounded to bf16: half a unit of 2^-8, and sums near the middle. */
export const BF16_TOLERANCE: Tolerance = { relative: 2 ** -8, ofRow: 1e-4, absolute: 2 ** -120 };

/** f32 sums in any order; below 2^-126 some processors flush to 0, so terms of that size do not count. */
export const F32_TOLERANCE: Tolerance = { relative: 1e-5, ofRow: 1e-5, absolute: 2 ** -120 };
