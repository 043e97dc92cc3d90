import { describe, expect, it } from 'vitest';
import { planSlots } from '../../../src/model/cache/slots.ts';

/** Step lengths: one by one, all at once, at and around a window's length, and mixtures. */
const SCRIPTS = [
  new Array<number>(40).fill(1),
  [150],
  [1, 150, 1, 1],
  [3, 3, 3, 3, 3, 3, 3],
  [7, 1, 8, 1, 9, 1, 1, 1, 20, 2],
  [64, 1, 63, 1, 1, 65, 2],
  [63, 1, 1, 128, 3],
  [2, 99, 1, 1, 100, 1, 101, 1],
];

describe.each([1, 2, 3, 7, 8, 63, 64, 65, 100, Infinity])('a window of %d', (window) => {
  it.each(SCRIPTS.map((script) => [script.join(' '), script] as const))('steps of %s', (_, script) => {
    let slots: number[] = []; // The position that each slot really holds.
    let start = 0;
    const gone = new Set<number>();
    for (const rows of script) {
      const plan = planSlots(start, rows, slots.length, window);
      const end = start + rows;
      expect(plan.capacity).toBeGreaterThanOrEqual(slots.length);
      expect(plan.capacity).toBeLessThanOrEqual(window);
      slots = [...slots, ...new Array<number>(plan.capacity - slots.length).fill(-1)];

      const before = [...slots];
      for (const { from, rows: count, slot } of plan.writes)
        for (let row = 0; row < count; row++) {
          expect(slot + row).toBeLessThan(plan.capacity);
          slots[slot + row] = start + from + row;
        }
      const columns = plan.besideRing ? [...before, ...range(start, end)] : slots;
      expect([...plan.positions]).toEqual(columns);

      // Every query sees its window, each position of it once, and nothing else.
      const seen = range(start, end).map((_, row) =>
        columns.filter((__, column) => (plan.mask?.[row * columns.length + column] ?? 0) === 0).sort((a, b) => a - b),
      );
      const wanted = range(start, end).map((query) => range(Math.max(0, query - window + 1), query + 1));
      expect(seen).toEqual(wanted);
      if (plan.mask) {
        expect(plan.mask.length).toBe(rows * columns.length);
        expect(plan.mask.every((x) => x === 0 || x === -Infinity)).toBe(true);
        expect(plan.mask.some((x) => x !== 0)).toBe(true);
      }

      // What the next query does not see is evicted, once.
      const lost = range(0, end).filter((position) => position <= end - window && !gone.has(position));
      expect([...plan.evicted]).toEqual(lost);
      for (const position of lost) gone.add(position);
      start = end;
    }
  });
});

it('a long text copies its cache seldom', () => {
  let [capacity, copies] = [0, 0];
  for (let start = 0; start < 4096; start++) {
    const grown = planSlots(start, 1, capacity, Infinity).capacity;
    if (grown > capacity) copies++;
    capacity = grown;
  }
  expect(copies).toBeLessThan(20);
  expect(capacity).toBeLessThan(4096 * 1.3 + 64);
});

it.each<[what: string, args: Parameters<typeof planSlots>, capacity: number]>([
  ['a new cache begins with 64 slots', [0, 1, 0, Infinity], 64],
  ['as many as a long prompt has', [0, 1000, 0, Infinity], 1000],
  ['it stays while there is room', [63, 1, 64, Infinity], 64],
  ['then a quarter more, in steps of 64', [64, 1, 64, Infinity], 128],
  ['a quarter of a long one', [1024, 1, 1024, Infinity], 1280],
  ['no more than the window', [0, 1, 0, 10], 10],
  ['no more than the text will have', [0, 1, 0, Infinity, 10], 10],
  ['no more than the text will have, also when it grows', [64, 1, 64, Infinity, 70], 70],
  ['but what is needed', [0, 20, 0, Infinity, 10], 20],
])('%s', (_, args, capacity) => {
  expect(planSlots(...args).capacity).toBe(capacity);
});

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
