import { expect, test } from 'vitest';
import { gate } from '../../src/bench/run/gate.ts';
import { blockRatios, estimate, estimateRatio, median, quantile, slope } from '../../src/bench/timing/statistics.ts';
import { noiseFloor, verdictOf } from '../../src/bench/timing/verdict.ts';
import { createRandom, type Random } from '../../src/sampling/random.ts';

const PROCESSES = 5;
const BLOCKS = 40;

/**
 * Simulated cells of a call that takes `seconds`, on a noisy machine: processes differ by 1% and cells by 2%, one cell in five
 * waits for its core and takes up to three times as long, and all become slower in the course of a process.
 */
function cells(seconds: number, process: number, random: Random): number[] {
  return Array.from({ length: 2 * BLOCKS }, (_, i) => {
    const waits = random() < 0.2 ? 1 + 2 * random() : 1;
    return seconds * process * (1 + 0.02 * (random() - 0.5)) * waits * (1 + i / (20 * BLOCKS));
  });
}

function ratioOf(variant: number, seed: number): ReturnType<typeof estimate> {
  const random = createRandom(seed);
  const processes = Array.from({ length: PROCESSES }, () => {
    const slowness = 1 + 0.01 * random();
    return blockRatios(cells(variant, slowness, random), cells(1, slowness, random));
  });
  return estimate(processes);
}

test('quantiles are linear between two values, as in numpy', () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3, 4, 5], 0.1)).toBeCloseTo(1.4, 12);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

test('the slope is that of the least-squares line', () => {
  expect(
    slope([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
  ).toBeCloseTo(2, 12);
});

test('a linear drift cancels in blocks of the order ABBA', () => {
  // Cells of one block in the order A B B A, each later one 1% slower: the ratio of equal kernels is 1.
  const drift = [1, 1.01, 1.01 ** 2, 1.01 ** 3];
  expect(blockRatios([drift[1], drift[2]], [drift[0], drift[3]])[0]).toBeCloseTo(1, 12);
});

test('of 20 simulated noisy runs, nearly all find a tenth slower SLOWER, a tenth faster FASTER, and the same SAME', () => {
  const verdicts = (variant: number): string[] =>
    Array.from({ length: 20 }, (_, seed) => verdictOf(ratioOf(variant, seed), 0.05));
  const count = (all: readonly string[], verdict: string): number => all.filter((one) => one === verdict).length;
  expect(count(verdicts(1.1), 'SLOWER')).toBeGreaterThanOrEqual(19);
  expect(count(verdicts(1 / 1.1), 'FASTER')).toBeGreaterThanOrEqual(19);
  expect(count(verdicts(1), 'SAME')).toBeGreaterThanOrEqual(19);
});

test('the interval contains the true ratio in at least 9 of 10 simulated runs', () => {
  const containing = Array.from({ length: 40 }, (_, seed) => ratioOf(1.07, seed)).filter(
    ({ low, high }) => low <= 1.07 && 1.07 <= high,
  );
  expect(containing.length).toBeGreaterThanOrEqual(36);
});

test('differences between processes widen the interval, however many samples each has', () => {
  const alike = Array.from({ length: 5 }, () => Array.from({ length: 100 }, (_, i) => 1 + 0.001 * (i % 10)));
  const different = alike.map((samples, process) => samples.map((sample) => sample * (1 + 0.05 * process)));
  const width = ({ low, high }: ReturnType<typeof estimate>): number => high - low;
  expect(width(estimate(alike))).toBeLessThan(0.01);
  expect(width(estimate(different))).toBeGreaterThan(0.05);
});

test('a process without samples is left out', () => {
  expect(estimate([[], [2, 2, 2]])).toEqual({ median: 2, low: 2, high: 2 });
  expect(estimate([]).median).toBeNaN();
});

test('the ratio of two separate measurements has an interval by the spread of both', () => {
  const around = (middle: number): number[][] =>
    Array.from({ length: 5 }, (_, p) =>
      Array.from({ length: 20 }, (_, i) => middle * (1 + 0.002 * (i - 10) + 0.001 * p)),
    );
  const { median: ratio, low, high } = estimateRatio(around(2), around(2.4));
  expect(ratio).toBeCloseTo(1.2, 6);
  expect(low).toBeLessThan(1.2);
  expect(high).toBeGreaterThan(1.2);
});

test('a verdict other than UNSURE needs the whole interval on one side', () => {
  const interval = (low: number, high: number) => ({ median: (low + high) / 2, low, high });
  expect(verdictOf(interval(1.06, 1.2), 0.05)).toBe('SLOWER');
  expect(verdictOf(interval(1.04, 1.2), 0.05)).toBe('UNSURE');
  expect(verdictOf(interval(0.8, 0.9), 0.05)).toBe('FASTER');
  expect(verdictOf(interval(0.97, 1.03), 0.05)).toBe('SAME');
  expect(verdictOf(interval(0.9, 1.1), 0.05)).toBe('UNSURE');
});

test('a difference below the noise floor is UNSURE, never SAME', () => {
  expect(verdictOf({ median: 1.1, low: 1.08, high: 1.12 }, 0.05, 0.1)).toBe('UNSURE');
  expect(verdictOf({ median: 1.2, low: 1.15, high: 1.25 }, 0.05, 0.1)).toBe('SLOWER');
  expect(verdictOf({ median: 1.07, low: 1.06, high: 1.08 }, 0.05, 0.2)).toBe('UNSURE');
  expect(noiseFloor({ median: 1, low: 0.8, high: 1.1 })).toBeCloseTo(0.25, 12);
});

test('the exit code is that of the worst verdict', () => {
  expect(gate(['BASE', 'SAME', 'FASTER'])).toBe(0);
  expect(gate(['SAME', 'SLOWER'])).toBe(1);
  expect(gate(['SLOWER', 'WRONG'])).toBe(2);
  expect(gate(['UNTRUSTED'])).toBe(2);
  expect(gate(['UNSURE'])).toBe(0);
  expect(gate(['UNSURE'], { failOnUnsure: true })).toBe(3);
});
