import { elements } from '../dtype.ts';
import { concat, Tensor } from '../tensor.ts';

/** Maps between the slots of a cache and the absolute positions 0, 1, ... of the tokens in them. */
export interface SlotOrder {
  /** The slot of each position; one past the last slot for a position that no slot holds. */
  readonly slotOf: Int32Array;
  /** The position of each slot; one past the last position for an empty slot. */
  readonly positionOf: Int32Array;
}

/**
 * The maps of a cache's slots.
 *
 * @param positions The absolute position in each slot, -1 for an empty one.
 */
export function slotOrder(positions: Int32Array): SlotOrder {
  const count = positions.reduce((most, position) => Math.max(most, position + 1), 0);
  const slotOf = new Int32Array(count).fill(positions.length);
  positions.forEach((position, slot) => {
    if (position >= 0) slotOf[position] = slot;
  });
  return { slotOf, positionOf: positions.map((position) => (position < 0 ? count : position)) };
}

/** Slices of `x` along `axis` at `indices`; an index one past the end of the axis gives a slice of `fill`. */
export function pick(x: Tensor, indices: Int32Array, axis: number, fill: number): Tensor {
  const shape = x.shape.with(axis, 1);
  const extra = Tensor.from(x.backend, new Float32Array(elements(shape)).fill(fill), shape);
  return concat([x, extra], axis).gather(indices, axis);
}
