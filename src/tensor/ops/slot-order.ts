/** Between the slots of a cache, in its own order, and the absolute positions 0, 1, ... that people count in. */
export interface SlotOrder {
  /** The slot of each position; where a position is in no slot, one past the last slot. */
  readonly slotOf: Int32Array;
  /** The position of each slot; where a slot is empty, one past the last position. */
  readonly positionOf: Int32Array;
}

/** @param positions The absolute position in each slot, -1 for an empty one. */
export function slotOrder(positions: Int32Array): SlotOrder {
  const count = positions.reduce((most, position) => Math.max(most, position + 1), 0);
  const slotOf = new Int32Array(count).fill(positions.length);
  positions.forEach((position, slot) => {
    if (position >= 0) slotOf[position] = slot;
  });
  return { slotOf, positionOf: positions.map((position) => (position < 0 ? count : position)) };
}
