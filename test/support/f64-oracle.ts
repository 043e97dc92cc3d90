/**
 * An array in f64. Oracles are such arrays: the formula of an op, written down element by element, by coordinates. They
 * share nothing with the code under test.
 */
export interface F64 {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** The array whose element at each index is `f(index)`. The index is reused: read it, do not keep it. */
export function build(shape: readonly number[], f: (index: number[]) => number): F64 {
  const values = new Float64Array(shape.reduce((product, size) => product * size, 1));
  const index = shape.map(() => 0);
  for (let i = 0; i < values.length; i++) {
    values[i] = f(index);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0;
  }
  return { shape, values };
}

/** The element at an index. */
export function at({ shape, values }: F64, index: readonly number[]): number {
  let offset = 0;
  for (let axis = 0; axis < index.length; axis++) offset = offset * shape[axis] + index[axis];
  return values[offset];
}

/** The element of a smaller array that numpy's broadcasting puts at `index`. */
export function broadcastAt({ shape, values }: F64, index: readonly number[]): number {
  const missing = index.length - shape.length;
  let offset = 0;
  for (const [axis, size] of shape.entries()) offset = offset * size + (size === 1 ? 0 : index[missing + axis]);
  return values[offset];
}

/** The sum of `term(i)` for i from 0 to `count - 1`. */
export function sum(count: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += term(i);
  return total;
}

/** Numbers in -2 .. 2 that f32 holds; the same for the same seed (mulberry32). */
export function random(shape: readonly number[], seed = 1): F64 {
  let state = seed * 0x9e3779b9;
  return build(shape, () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 8) / 2 ** 22 - 2;
  });
}

/** The nearest number of 8 significant bits, ties to even: bf16, for numbers in its normal range. */
export function roundBf16(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 7);
  const scaled = x / unit;
  const down = Math.floor(scaled);
  const up = scaled - down > 0.5 || (scaled - down === 0.5 && down % 2 !== 0);
  return (up ? down + 1 : down) * unit;
}

/** Applies `f` to each element. */
export const map = ({ shape, values }: F64, f: (x: number) => number): F64 => ({ shape, values: values.map(f) });

/** Softmax of one row. */
export const softmaxRow = (row: readonly number[]): number[] => {
  const top = Math.max(...row);
  const exps = row.map((x) => Math.exp(x - top));
  const total = exps.reduce((a, b) => a + b, 0);
  return exps.map((x) => x / total);
};

/** Softmax over the last axis. */
export function softmax({ shape, values }: F64): F64 {
  const width = shape.at(-1)!;
  const out = new Float64Array(values.length);
  for (let row = 0; row < values.length; row += width) out.set(softmaxRow([...values.subarray(row, row + width)]), row);
  return { shape, values: out };
}

const known = new Map<string, unknown>();

/** Computes `make` at the first call with this key, so that the backends of a test file share their oracles. */
export function once<T>(key: string, make: () => T): T {
  if (!known.has(key)) known.set(key, make());
  return known.get(key) as T;
}
