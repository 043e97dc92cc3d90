import { elements } from '../dtype.ts';
import { concat, Tensor } from '../tensor.ts';

/** Queries whose scores are computed at once: rows `begin` to `end` (exclusive). */
export interface QueryBlock {
  readonly begin: number;
  readonly end: number;
  /** The first so many columns hold every key that one of these queries sees. */
  readonly columns: number;
}

/** Fewer queries than this read the whole store in place: copying a part of it would cost more than it saves. */
const FEW_ROWS = 32;
/** Enough rows for matrix products at full speed, and so few that the first block of a prompt skips most of its keys. */
const MOST_ROWS = 256;
/** The number of scores of a block, which bounds the memory that a long text takes: 64 MiB of f32. */
const MOST_SCORES = 2 ** 24;

/**
 * Cuts the last `rows` tokens of a text into blocks, in order.
 *
 * @param positions The absolute position in each column, -1 for an empty one.
 */
export function queryBlocks(rows: number, heads: number, positions: Int32Array): QueryBlock[] {
  if (rows < FEW_ROWS) return [{ begin: 0, end: rows, columns: positions.length }];
  const size = mostRows(heads, positions.length);
  const last = positions.reduce((most, position) => Math.max(most, position), 0);
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => {
    const end = Math.min(rows, (i + 1) * size);
    const seen = last - (rows - end);
    return {
      begin: i * size,
      end,
      columns: positions.findLastIndex((position) => position >= 0 && position <= seen) + 1,
    };
  });
}

/** The largest number of rows of a block with so many heads and columns. */
export const mostRows = (heads: number, columns: number): number =>
  Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_SCORES / (heads * columns))));

/** Joins the numbers of blocks, `[H, end - begin, columns]` each, to `[H, T, S]`; columns that a block lacks are `empty`. */
export function joinBlocks(parts: readonly Tensor[], columns: number, empty: number): Tensor {
  const padded = parts.map((part) => {
    const shape = part.shape.with(2, columns - part.shape[2]);
    if (shape[2] === 0) return part;
    return concat([part, Tensor.from(part.backend, new Float32Array(elements(shape)).fill(empty), shape)], 2);
  });
  return padded.length === 1 ? padded[0] : concat(padded, 1);
}

/** The inverse of `joinBlocks`; undefined where a number that lies in no block is not `empty`. */
export function cutBlocks(whole: Tensor, blocks: readonly QueryBlock[], empty: number): Tensor[] | undefined {
  const [, , S] = whole.shape;
  const isConfined = blocks.every(
    ({ begin, end, columns }) =>
      columns === S ||
      whole
        .slice([0, begin, columns], [-1, end - begin, -1])
        .data()
        .every((value) => value === empty),
  );
  if (!isConfined) return undefined;
  return blocks.map(({ begin, end, columns }) => whole.slice([0, begin, 0], [-1, end - begin, columns]));
}
