import { elements } from '../tensor/dtype.ts';
import type { HookPoint } from '../tensor/hook-point.ts';
import { scope } from '../tensor/scope.ts';
import { concat, Tensor } from '../tensor/tensor.ts';

/**
 * How the chunks of a prompt are joined to one activation. `rows`: end to end along the axis of new positions or of chosen
 * rows. `keys`: each chunk adds the keys that the chunks before did not show. `last`: the last chunk stands for all.
 */
export type Joint = 'rows' | 'keys' | 'last';

/** How the chunks of a hook's activation are joined: its axes say so. */
export function jointOf({ axes }: HookPoint): Joint {
  const letters = axes.split(' ');
  if (letters.includes('p') || letters[0] === 'n') return 'rows';
  return letters[0] === 't' ? 'keys' : 'last';
}

/** The sizes of the chunks of a prompt that came before. */
export interface Before {
  /** Rows of those chunks. */
  readonly rows: number;
  /** Keys that those chunks have seen. */
  readonly keys: number;
}

/** Copies the part that a chunk adds to an activation. */
export function partOf(point: HookPoint, value: Tensor, { rows, keys }: Before): Tensor {
  if (point.holdsRows && rows > 0)
    return Tensor.from(
      value.backend,
      value.integers().map((row) => row + rows),
      value.shape,
    );
  if (jointOf(point) !== 'keys' || keys === 0) return value.clone();
  return scope('', () => {
    const begin = value.shape.map((_, axis) => (axis === 0 ? keys : 0));
    return value
      .slice(
        begin,
        value.shape.map((size, axis) => (axis === 0 ? size - keys : size)),
      )
      .clone();
  });
}

/** The parts as one activation, in a new tensor. */
export function joinParts(parts: readonly Tensor[], { axes, hidden = 0 }: HookPoint): Tensor {
  const letters = axes.split(' ');
  const along = Math.max(0, letters.indexOf('p'));
  const keys = letters.indexOf('t');
  const filled = parts.filter(({ shape }) => shape[along] > 0);
  if (filled.length === 0) return parts[0].clone();
  return scope('', () => {
    const most = Math.max(...filled.map(({ shape }) => shape[keys] ?? 0));
    return concat(keys > 0 ? filled.map((part) => widened(part, keys, most, hidden)) : filled, along);
  });
}

function widened(part: Tensor, axis: number, size: number, fill: number): Tensor {
  const shape = part.shape.with(axis, size - part.shape[axis]);
  if (shape[axis] === 0) return part;
  return concat([part, Tensor.from(part.backend, new Float32Array(elements(shape)).fill(fill), shape)], axis);
}
