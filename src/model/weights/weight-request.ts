import type { Shape } from '../../tensor/shape.ts';
import type { PackedFormat } from '../../tensor/formats/packed-format.ts';
import type { PackedParameter } from '../../tensor/packed-parameter.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import type { Arrangement } from './arrangement.ts';

/** The shape of a stored tensor, and where it is. */
export interface StoredShape {
  readonly shape: Shape;
  readonly file: string;
  readonly format: string;
  /** Whether the file's index leaves it out; it then counts only where it is asked for. */
  readonly unlisted?: boolean;
}

/** What a model is built from, before its weights are read: the tensors of a checkpoint, and how they are to be held. */
export interface StoredShapes {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, StoredShape>;
  /** Whether matrices that the file has in codes and factors stay so in memory; otherwise `matrixDType` says as what. */
  readonly keepsPacked: boolean;
  /** Whether a matrix of 8-bit floats has a factor for each of its blocks, as config.json says. */
  readonly fp8Blocks: boolean;
  /** The dtype in which the model is to hold a matrix; vectors are always f32. */
  matrixDType(name: string): 'f32' | 'bf16';
  /** The dtype of operands inside products with a matrix of `dtype`. */
  compute(dtype: 'f32' | 'bf16'): 'f32' | 'bf16';
}

/** A stored tensor that fills consecutive rows of a parameter. */
export interface WeightPart {
  readonly name: string;
  /** As a part of the parameter; the file has the same, or what `arrangement` says. */
  readonly shape: Shape;
  /** Absent: it is read straight into its place. */
  readonly arrangement?: Arrangement | undefined;
  /** The stored tensor is a stack of `count` of them along a first axis; this is number `index`. */
  readonly stack?: { readonly index: number; readonly count: number } | undefined;
  /** Present where the stored tensor holds the codes of a matrix; its factors are in another tensor, stacked alike. */
  readonly packed?: { readonly format: PackedFormat; readonly scales: string } | undefined;
}

/** A parameter and the stored tensors that fill it, one after the other along the first axis. */
export interface WeightRequest {
  readonly parameter: Parameter | PackedParameter;
  readonly parts: readonly WeightPart[];
}

/** One of several layers that are joined: the tensors of its weight and, if it has one, of its bias. */
export interface LayerParts {
  readonly weight: WeightPart;
  readonly bias?: WeightPart | undefined;
}
