import { ShapeError } from '../../errors.ts';
import { scope } from '../scope.ts';
import { descending, topPlaces } from '../array/order.ts';
import { show } from '../shape.ts';
import { tracked } from '../tape.ts';
import { Tensor } from '../tensor.ts';

/**
 * The columns of the k largest numbers of each row, largest first: `[T, E]` to `[T, k]`, i32. Among equal numbers the
 * lower column comes first; NaN counts as the largest, as in PyTorch. Computed on the host.
 *
 * @throws {ShapeError} when there are fewer than k columns.
 */
export function topK(x: Tensor, k: number): Tensor {
  const [rows, width] = matrixShape('topK', x);
  if (k > width) throw new ShapeError(`topK: expected at least ${k} columns, got ${show(x.shape)}.`);
  const values = x.data();
  const ids = new Int32Array(rows * k);
  for (let row = 0; row < rows; row++) {
    ids.set(
      topPlaces((column) => values[row * width + column], width, k),
      row * k,
    );
  }
  return Tensor.from(x.backend, ids, [rows, k]);
}

/**
 * The numbers of each row in the columns `ids` `[T, k]`: `[T, E]` to `[T, k]`.
 *
 * @throws {ShapeError} for an id that is no column.
 */
export function takeColumns(x: Tensor, ids: Tensor): Tensor {
  const [, width] = matrixShape('takeColumns', x);
  return scope('', () => elementsAt(x, ids, width));
}

function elementsAt(x: Tensor, ids: Tensor, width: number): Tensor {
  const k = ids.shape[1];
  const places = expertIds(ids, width).map((column, i) => Math.floor(i / k) * width + column);
  return x.reshape([-1]).gather(places).reshape(ids.shape);
}

/**
 * Expert ids on the host, checked, since an edit may have changed them.
 *
 * @throws {ShapeError} for an id that is not a whole number from 0 to `width - 1`.
 */
export function expertIds(ids: Tensor, width: number): Int32Array {
  const values = ids.integers();
  const wrong = values.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < width));
  if (wrong >= 0)
    throw new ShapeError(
      `expert ids ${show(ids.shape)}: expected whole numbers from 0 to ${width - 1}, got ${values[wrong]}.`,
    );
  return Int32Array.from(values);
}

/** How groups of experts are chosen. */
export interface GroupLimit {
  /** The number of groups, each of as many neighbouring columns. */
  readonly groups: number;
  /** The number of groups that are chosen. */
  readonly kept: number;
  /** How many of its largest numbers a group's score is the sum of. */
  readonly best: 1 | 2;
}

/**
 * The groups of columns with the highest scores, best first: `[T, E]` to `[T, kept]`, i32 (DeepSeek-V3, arXiv 2412.19437,
 * section 2.1.2, where the groups are the experts of a node).
 */
export function topGroups(x: Tensor, { groups, kept, best }: GroupLimit): Tensor {
  const [rows, width] = matrixShape('topGroups', x);
  const size = width / groups;
  const values = x.data();
  const scores = Float32Array.from({ length: rows * groups }, (_, i) => {
    const members = values.slice(i * size, (i + 1) * size).sort((a, b) => descending(a, b));
    return best === 1 ? members[0] : members[0] + members[1];
  });
  return topK(Tensor.from(x.backend, scores, [rows, groups]), kept);
}

/** `x` `[T, E]` with -Infinity in all columns but those of the groups `kept` `[T, n]`. */
export function onlyGroups(x: Tensor, kept: Tensor, groups: number): Tensor {
  const [rows, width] = matrixShape('onlyGroups', x);
  const size = width / groups;
  const values = x.data();
  const limited = new Float32Array(values.length).fill(-Infinity);
  const perRow = kept.shape[1];
  expertIds(kept, groups).forEach((group, i) => {
    const from = Math.floor(i / perRow) * width + group * size;
    limited.set(values.subarray(from, from + size), from);
  });
  return Tensor.from(x.backend, limited, [rows, width]);
}

/** The k-th largest number of each row less the next one, `[T]`: the margin by which the k were chosen. */
export function topMargin(x: Tensor, k: number): Tensor {
  const [rows, width] = matrixShape('topMargin', x);
  const values = x.data();
  const margins = Float32Array.from({ length: rows }, (_, row) => {
    const sorted = values.slice(row * width, (row + 1) * width).sort((a, b) => descending(a, b));
    return k < width ? sorted[k - 1] - sorted[k] : Infinity;
  });
  return Tensor.from(x.backend, margins, [rows]);
}

/** Rows `[T, width]` of zeros to which `weights` `[T, k]` are added at their columns `ids`. */
export function scatterColumns(weights: Tensor, ids: Tensor, width: number): Tensor {
  const [rows, k] = matrixShape('scatterColumns', weights);
  const chosen = new Float32Array(rows * k * width);
  expertIds(ids, width).forEach((column, i) => {
    chosen[i * width + column] = 1;
  });
  return scope('', () => {
    const placed = Tensor.from(weights.backend, chosen, [rows, k, width]).mul(weights.reshape([rows, k, 1]));
    return placed.sum(1).reshape([rows, width]);
  });
}

/**
 * The inverse of `scatterColumns` after an edit: `[T, width]` to `[T, k]`. Where `changed` equals `dense`, the result of
 * `scatterColumns`, the weights stay. Elsewhere the first weight whose id names the column takes its number, and further
 * weights of the column are 0.
 */
export function takeScattered(
  changed: Tensor,
  { weights, ids, dense }: { readonly weights: Tensor; readonly ids: Tensor; readonly dense: Tensor },
): Tensor {
  const [, width] = matrixShape('takeScattered', changed);
  const [, k] = ids.shape;
  const columns = expertIds(ids, width);
  const isFirst = (i: number): boolean => columns.indexOf(columns[i], Math.floor(i / k) * k) === i;
  if (tracked(changed)) {
    const first = Tensor.from(
      weights.backend,
      Float32Array.from(columns, (_, i) => Number(isFirst(i))),
      ids.shape,
    );
    return elementsAt(changed, ids, width).mul(first);
  }
  const [after, before, own] = [changed, dense, weights].map((x) => x.data64());
  const taken = own.map((weight, i) => {
    const row = Math.floor(i / k);
    const at = row * width + columns[i];
    if (Object.is(after[at], before[at])) return weight;
    return isFirst(i) ? after[at] : 0;
  });
  return Tensor.from(weights.backend, taken, weights.shape);
}

function matrixShape(op: string, { shape }: Tensor): readonly [rows: number, columns: number] {
  if (shape.length !== 2) throw new ShapeError(`${op}: expected a matrix, got ${show(shape)}.`);
  return [shape[0], shape[1]];
}
