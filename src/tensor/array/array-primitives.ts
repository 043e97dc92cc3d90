import { type Check, type Checks, FLAG, listOf } from '../../options.ts';
import type { HostArray } from '../backend.ts';
import type { DType } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import type { NestedNumbers } from './nested-numbers.ts';

/** One axis or several; negative ones count from the end. */
export type Axes = number | readonly number[];

/** Whether axes that are reduced stay, with size 1. Default false, as in numpy (`keepdims`). */
export interface KeepDim {
  readonly keepDim?: boolean | undefined;
}

/** A list of numbers: a shape, sizes, an order. */
export const NUMBERS = listOf('numbers', (value) => typeof value === 'number');
/** What reductions take for axes. */
export const AXES: Check = {
  words: 'a number, or a list of numbers',
  holds: (value) => value === undefined || typeof value === 'number' || NUMBERS.holds(value),
};
/** The check of `KeepDim`. */
export const KEEP_DIM: Checks<KeepDim> = { keepDim: FLAG };

/** The methods of a tensor that the functions of this folder are composed of; `T` is the tensor. */
export interface ArrayPrimitives<T> {
  readonly shape: Shape;
  readonly dtype: DType;
  data(): Float32Array;
  integers(): HostArray;
  newTensor(values: NestedNumbers, shape?: Shape): T;
  add(other: T | number | NestedNumbers): T;
  sub(other: T | number | NestedNumbers): T;
  mul(other: T | number | NestedNumbers): T;
  div(other: T | number | NestedNumbers): T;
  maximum(other: T | number | NestedNumbers): T;
  square(): T;
  sqrt(): T;
  exp(): T;
  log(): T;
  sum(axes?: Axes, options?: KeepDim): T;
  mean(axes?: Axes, options?: KeepDim): T;
  max(axes?: Axes, options?: KeepDim): T;
  reshape(shape: Shape): T;
  transpose(permutation: readonly number[]): T;
  slice(begin: Shape, size: Shape): T;
  gather(indices: T | ArrayLike<number>, axis?: number): T;
}
