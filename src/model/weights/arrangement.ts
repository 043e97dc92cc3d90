import type { Shape } from '../../tensor/shape.ts';

/**
 * How a stored tensor becomes the parameter that the model computes with, where the two differ. Applied once, at load: the
 * forward pass has one layout, `[out, in]`, rows in the order in which it reads them.
 */
export interface Arrangement {
  /** The shape in the file of what is to become `wanted`. */
  storedShape(wanted: Shape): Shape;
  /** Fills `target`, the bytes of `wanted`, from the stored bytes; both have elements of `width` bytes. */
  arrange(stored: Uint8Array, target: Uint8Array, wanted: Shape, width: number): void;
}

/** `[in, out]` in the file, as GPT-2's Conv1D has it. A vector stays as it is, so a layer's bias may come along. */
export const transposed: Arrangement = {
  storedShape: (wanted) => wanted.toReversed(),
  arrange(stored, target, wanted, width) {
    if (wanted.length === 1) {
      target.set(stored);
      return;
    }
    const [rows, columns] = wanted;
    const [from, to] = [elementsOf(stored, width), elementsOf(target, width)];
    // Square by square: a row of one side is a column of the other, and a cache line holds several of its neighbours.
    for (let row = 0; row < rows; row += TILE) {
      for (let column = 0; column < columns; column += TILE) {
        for (let i = row; i < Math.min(row + TILE, rows); i++)
          for (let j = column; j < Math.min(column + TILE, columns); j++) to[i * columns + j] = from[j * rows + i];
      }
    }
  },
};

const TILE = 32;

/**
 * Picks rows of the stored tensor: row i is the stored row `order[i]`. For stacked projections whose rows are interleaved,
 * and for a part of a tensor.
 *
 * @param storedRows Rows in the file; default: as many as are picked.
 */
export function rows(order: Int32Array, storedRows = order.length): Arrangement {
  return {
    storedShape: (wanted) => [storedRows, ...wanted.slice(1)],
    arrange(stored, target) {
      // Rows are often short: a loop over words beats a call that copies a row.
      const [from, to] = widestWords(stored, target, stored.length / storedRows);
      const width = from.length / storedRows;
      for (let row = 0, o = 0; row < order.length; row++) {
        const first = order[row] * width;
        for (let i = first; i < first + width; i++) to[o++] = from[i];
      }
    },
  };
}

/** Two arrangements: `first` on the stored tensor, `second` on its result. */
export function inSequence(first: Arrangement, second: Arrangement): Arrangement {
  return {
    storedShape: (wanted) => first.storedShape(second.storedShape(wanted)),
    arrange(stored, target, wanted, width) {
      const between = new Uint8Array(stored.length);
      first.arrange(stored, between, second.storedShape(wanted), width);
      second.arrange(between, target, wanted, width);
    },
  };
}

/** Adds a number in f32: the norms of Gemma multiply by `1 + w`. For vectors, which are always f32. */
export function plus(amount: number): Arrangement {
  return {
    storedShape: (wanted) => wanted,
    arrange(stored, target) {
      const from = floats(stored);
      const to = floats(target);
      from.forEach((x, i) => (to[i] = x + amount));
    },
  };
}

const floats = ({ buffer, byteOffset, length }: Uint8Array): Float32Array =>
  new Float32Array(buffer, byteOffset, length / Float32Array.BYTES_PER_ELEMENT);

/** Both as words of 4 bytes, if rows of `rowBytes` and their places allow it, or else as bytes. */
function widestWords(a: Uint8Array, b: Uint8Array, rowBytes: number) {
  if ([rowBytes, a.byteOffset, b.byteOffset].some((x) => x % 4 !== 0)) return [a, b] as const;
  return [elementsOf(a, 4), elementsOf(b, 4)] as const;
}

function elementsOf({ buffer, byteOffset, length }: Uint8Array, width: number): Uint16Array | Uint32Array {
  return width === 2
    ? new Uint16Array(buffer, byteOffset, length / 2)
    : new Uint32Array(buffer, byteOffset, length / 4);
}
