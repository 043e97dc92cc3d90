import { ShapeError } from '../../errors.ts';
import { type Check, checkArgument, checkOptions, type Checks, FLAG, numbers, whole } from '../../options.ts';
import { elements } from '../dtype.ts';
import { scope } from '../scope.ts';
import { type Shape, show } from '../shape.ts';
import { type ArrayPrimitives, type Axes, KEEP_DIM, type KeepDim, NUMBERS } from './array-primitives.ts';
import { broadcastTo, squeeze, unsqueeze } from './axes.ts';
import { abs, compare, EXPONENT, pow } from './elementwise.ts';
import { at, INDEX, type Index, takeAlong } from './indexing.ts';
import { type NestedArray, type NestedNumbers, nest } from './nested-numbers.ts';
import { argExtreme, argsort, sort, topk, type TopK } from './order.ts';
import { logSoftmax, min, norm, variance } from './reductions.ts';

/** How `var` and `std` reduce. */
export interface VarianceOptions extends KeepDim {
  /** What is taken from the count of numbers: 0 as in numpy, which is the default, or 1 as in PyTorch. */
  readonly correction?: number | undefined;
}

/** How `norm` reduces. */
export interface NormOptions extends KeepDim {
  /** The root of the sum of squares (2, the default), the sum of absolutes (1), or the largest absolute (Infinity). */
  readonly ord?: number | undefined;
}

/** How `sort` and `argsort` order. */
export interface SortOptions {
  /** Whether the largest comes first. Default false. */
  readonly descending?: boolean | undefined;
}

const TENSOR: Check = { words: 'an i32 tensor', holds: (value) => value instanceof ArrayMethods };
const VARIANCE: Checks<VarianceOptions> = { ...KEEP_DIM, correction: numbers('a number', Number.isFinite) };
const NORM: Checks<NormOptions> = {
  ...KEEP_DIM,
  ord: { words: '1, 2 or Infinity', holds: (ord) => ord === 1 || ord === 2 || ord === Infinity },
};
const SORT: Checks<SortOptions> = { descending: FLAG };

/**
 * The methods of a tensor that are composed of others: numpy's and PyTorch's, by their names. What is differentiable is made
 * of the ops of the tensor; what gives places or truth values is computed on the host.
 */
export abstract class ArrayMethods<T extends ArrayPrimitives<T>> {
  /**
   * The part that indices name, one for each of the first axes: a place (-1 is the last), which takes its axis away, a slice
   * in Python's words, or `'...'` for the axes between: `x.at(-1)`, `x.at(':', '-3:')`, `x.at('...', 0)`.
   *
   * @throws {ShapeError} for a place beyond its axis, and for more indices than axes.
   */
  at(this: T, ...indices: readonly Index[]): T {
    for (const index of indices) checkArgument('at', 'an index', index, INDEX);
    return at(this, indices);
  }

  /** The tensors along the first axis, which are made as they are asked for: `for (const row of x)`. */
  *[Symbol.iterator](this: T): Generator<T, void, undefined> {
    if (this.shape.length === 0) throw new ShapeError('iteration: expected a tensor with an axis, got [].');
    for (let i = 0; i < this.shape[0]; i++) yield at(this, [i]);
  }

  /**
   * The number of a tensor that holds one.
   *
   * @throws {ShapeError} when it holds none or several.
   */
  item(this: T): number {
    if (elements(this.shape) !== 1)
      throw new ShapeError(`item: expected one number, got ${show(this.shape)}. Use toArray().`);
    return this.integers()[0];
  }

  /** The numbers in nested arrays, one level for each axis (numpy's and PyTorch's `tolist`). */
  toArray(this: T): NestedArray {
    return nest(this.integers(), this.shape);
  }

  /** The absolute of each number. */
  abs(this: T): T {
    return abs(this);
  }
  /** Each number times -1. */
  neg(this: T): T {
    return this.mul(-1);
  }
  /**
   * Each number to the power of `exponent`. Whole exponents up to 64 are products and 0.5 is the root; others are
   * `exp(exponent * log(x))`, with a relative error of up to `|exponent * log(x)|` times 1.2e-7.
   */
  pow(this: T, exponent: number): T {
    checkArgument('pow', 'the exponent', exponent, EXPONENT);
    return pow(this, exponent);
  }

  /** The smallest number along `axes`. Default: of all. */
  min(this: T, axes?: Axes, options?: KeepDim): T {
    return min(this, axes, options);
  }
  /** The variance along `axes`: the mean square of what differs from the mean. Default: of all. */
  var(this: T, axes?: Axes, options: VarianceOptions = {}): T {
    checkOptions('var', options, VARIANCE);
    return variance(this, axes, options);
  }
  /** The standard deviation: the root of `var`. */
  std(this: T, axes?: Axes, options: VarianceOptions = {}): T {
    checkOptions('std', options, VARIANCE);
    return scope('', () => variance(this, axes, options).sqrt());
  }
  /** The norm of the vectors along `axes`. Default: of all numbers as one vector. */
  norm(this: T, axes?: Axes, options: NormOptions = {}): T {
    checkOptions('norm', options, NORM);
    return norm(this, axes, options);
  }
  /** The logarithm of the softmax along `axis`; computed about the largest number, so that nothing overflows. */
  logSoftmax(this: T, axis = -1): T {
    return logSoftmax(this, axis);
  }

  /** 1 where the numbers are equal and 0 elsewhere, f32, with numpy's broadcasting; so are the five below. For `where` and `mul`. */
  equal(this: T, other: T | number | NestedNumbers): T {
    return compare('equal', this, other);
  }
  notEqual(this: T, other: T | number | NestedNumbers): T {
    return compare('notEqual', this, other);
  }
  greater(this: T, other: T | number | NestedNumbers): T {
    return compare('greater', this, other);
  }
  greaterEqual(this: T, other: T | number | NestedNumbers): T {
    return compare('greaterEqual', this, other);
  }
  less(this: T, other: T | number | NestedNumbers): T {
    return compare('less', this, other);
  }
  lessEqual(this: T, other: T | number | NestedNumbers): T {
    return compare('lessEqual', this, other);
  }

  /**
   * The k largest numbers along `axis`, largest first, and their places. Among equal numbers the first comes first; NaN counts
   * as the largest, as in PyTorch. Places are found on the host.
   *
   * @throws {ShapeError} when the axis has fewer than k.
   */
  topk(this: T, k: number, axis = -1): TopK<T> {
    checkArgument('topk', 'k', k, whole(0));
    return topk(this, k, axis);
  }
  /** The place of the largest number along `axis`, the first of equal ones or of NaN, i32. Default: in all, as if in one axis. */
  argmax(this: T, axis?: number, options: KeepDim = {}): T {
    checkOptions('argmax', options, KEEP_DIM);
    return argExtreme('argmax', this, axis, { ...options, sign: 1 });
  }
  /** The place of the smallest number, as `argmax`. */
  argmin(this: T, axis?: number, options: KeepDim = {}): T {
    checkOptions('argmin', options, KEEP_DIM);
    return argExtreme('argmin', this, axis, { ...options, sign: -1 });
  }
  /** The numbers along `axis` in ascending order, NaN last. */
  sort(this: T, axis = -1, options: SortOptions = {}): T {
    checkOptions('sort', options, SORT);
    return sort(this, axis, options.descending ?? false);
  }
  /** The places of the numbers along `axis` in the order of `sort`, i32; equal numbers keep theirs. */
  argsort(this: T, axis = -1, options: SortOptions = {}): T {
    checkOptions('argsort', options, SORT);
    return argsort(this, axis, options.descending ?? false);
  }
  /**
   * The numbers at `indices` along `axis`; i32 `indices` have the other axes of the tensor too (numpy's `take_along_axis`,
   * PyTorch's `gather`). Negative ones count from the end.
   *
   * @throws {ShapeError} for an index beyond the axis.
   */
  takeAlong(this: T, indices: T, axis: number): T {
    checkArgument('takeAlong', 'indices', indices, TENSOR);
    return takeAlong('takeAlong', this, indices, axis);
  }

  /** The same numbers without `axes`, which have size 1. Default: without all axes of size 1. */
  squeeze(this: T, axes?: Axes): T {
    return squeeze(this, axes);
  }
  /** The same numbers with a further axis of size 1, which is axis `axis` of the result (numpy's `expand_dims`). */
  unsqueeze(this: T, axis: number): T {
    return unsqueeze(this, axis);
  }
  /** The numbers repeated along axes that `shape` has and this tensor does not, or has with size 1. */
  broadcastTo(this: T, shape: Shape): T {
    checkArgument('broadcastTo', 'the shape', shape, NUMBERS);
    return broadcastTo('broadcastTo', this, shape);
  }
}
