/** Capacity grows by at least so many slots, and by at least a quarter, so that a long text is seldom copied. */
const GROWTH = 64;

/**
 * The slots of one step in a cache: which are written, and which positions they then hold.
 *
 * Slots fill up in order. With a sliding window of W, a cache that has W slots becomes a ring: position p is in slot
 * `p mod W`. One new token overwrites exactly the key that leaves its window; of several new ones, the first may still see
 * keys that the last overwrites, so these attend to the old ring and the new rows side by side (`besideRing`), before the
 * ring is written.
 */
export interface SlotPlan {
  /** Slots that the store must have. */
  readonly capacity: number;
  readonly besideRing: boolean;
  /** Rows to write: `rows` of the new ones from `from` on, to the slots from `slot` on. None where the pass only reads. */
  readonly writes: readonly { readonly from: number; readonly rows: number; readonly slot: number }[];
  /** The absolute position in each column that is attended to, -1 for an empty one. */
  readonly positions: Int32Array;
  /** `[T, columns]`, 0 where visible and -Infinity elsewhere; absent when all is visible. */
  readonly mask: Float32Array | undefined;
  /** Positions that no later query will see. */
  readonly evicted: Int32Array;
}

/**
 * @param start Tokens in the cache.
 * @param rows New tokens, at positions `start`, `start + 1`, ...
 * @param capacity Slots that the store has.
 * @param window Keys that a query sees, itself included; Infinity for all.
 * @param maxLength Tokens that there will be at most.
 */
export function planSlots(
  start: number,
  rows: number,
  capacity: number,
  window: number,
  maxLength = Infinity,
): SlotPlan {
  const end = start + rows;
  const needed = Math.min(end, window);
  const grown = Math.max(needed, Math.ceil((capacity * 1.25) / GROWTH) * GROWTH, GROWTH);
  const target = capacity >= needed ? capacity : Math.min(grown, window, Math.max(needed, maxLength));
  const wraps = end > window;
  const besideRing = wraps && rows > 1;
  const held = besideRing ? slotPositions(start, target, wraps) : slotPositions(end, target, wraps);
  const fresh = Array.from({ length: rows }, (_, row) => start + row);
  const positions = besideRing ? Int32Array.from([...held, ...fresh]) : held;
  return {
    capacity: target,
    besideRing,
    writes: wraps ? ringWrites(start, rows, window) : [{ from: 0, rows, slot: start }],
    positions,
    mask: visibility(start, rows, positions, window),
    evicted: range(Math.max(0, start - window + 1), Math.max(0, end - window + 1)),
  };
}

/**
 * The plan of a pass that writes nothing: its rows see the first `seen` tokens of a cache that holds `length`, and each other.
 *
 * @param slots Those that the store has.
 */
export function planReading(
  { length, seen }: { readonly length: number; readonly seen: number },
  rows: number,
  slots: number,
  window: number,
): SlotPlan {
  const held = slotPositions(length, slots, length > window).map((position) => (position < seen ? position : -1));
  const positions = Int32Array.from([...held, ...range(seen, seen + rows)]);
  return {
    capacity: slots,
    besideRing: true,
    writes: [],
    positions,
    mask: visibility(seen, rows, positions, window),
    evicted: range(Math.max(0, seen - window + 1), Math.max(0, seen + rows - window + 1)),
  };
}

/** The position that each slot holds once `length` tokens were written. */
function slotPositions(length: number, slots: number, ring: boolean): Int32Array {
  return Int32Array.from({ length: slots }, (_, slot) => {
    if (slot >= length) return -1;
    return ring ? slot + Math.floor((length - 1 - slot) / slots) * slots : slot;
  });
}

/** The last W of the new rows, in one or two runs of slots. */
function ringWrites(start: number, rows: number, window: number): SlotPlan['writes'] {
  const kept = Math.min(rows, window);
  const from = rows - kept;
  const slot = (start + from) % window;
  const untilWrap = Math.min(kept, window - slot);
  const runs = [
    { from, rows: untilWrap, slot },
    { from: from + untilWrap, rows: kept - untilWrap, slot: 0 },
  ];
  return runs.filter((run) => run.rows > 0);
}

/** Query p sees keys j with `p - window < j <= p`. */
function visibility(start: number, rows: number, positions: Int32Array, window: number): Float32Array | undefined {
  const columns = positions.length;
  const mask = new Float32Array(rows * columns);
  let hidden = false;
  for (let row = 0; row < rows; row++) {
    const query = start + row;
    for (let column = 0; column < columns; column++) {
      const key = positions[column];
      if (key >= 0 && key <= query && key > query - window) continue;
      mask[row * columns + column] = -Infinity;
      hidden = true;
    }
  }
  return hidden ? mask : undefined;
}

const range = (from: number, to: number): Int32Array => Int32Array.from({ length: to - from }, (_, i) => from + i);
