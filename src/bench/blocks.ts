import { Bench, Task } from 'tinybench';
import type { Random } from '../sampling/random.ts';
import { countPauses, watchPauses } from './pauses.ts';
import { blockRatios, median } from './statistics.ts';
import { isOptimised, type Tier } from './tier.ts';

/** A call to be timed. It is called with a number that goes up with each call of any lane. */
export interface Lane {
  readonly name: string;
  readonly call: (turn: number) => void;
  /** How its code is compiled now, where that is known. */
  readonly tier?: (() => Tier | undefined) | undefined;
}

/** The times of a lane, in seconds per call: two cells for each block, the first and the second of ABBA. */
export interface LaneTimes {
  readonly name: string;
  readonly cells: number[];
  /** Samples of more than three times their cell's median: another process had the core. They are counted, and stay. */
  outliers: number;
  samples: number;
  /** Samples with a pause of the garbage collector in them, and with one that looked at all memory. They stay, too. */
  pauses: { readonly any: number; readonly major: number };
  /** Where it is known how the lane's code is compiled. */
  compiled: Compiled | undefined;
}

/** How a function was compiled, seen after each sample: code that was thrown away may soon be made again. */
export interface Compiled {
  /** At the end. */
  readonly tier: Tier;
  /** The part of the samples after which it was optimised. */
  readonly optimised: number;
  /** How often it no longer was. */
  readonly deopts: number;
}

/** How long to measure. */
export interface Effort {
  readonly milliseconds: number;
  /** The standard error of ratios that is enough. */
  readonly precision: number;
}

/** A timed sample is several calls, so that reading the clock (30 ns) is nothing beside it. */
const SAMPLE_MS = 0.1;
/**
 * A cell is several samples, whose median counts: a scheduler's slice takes 3 ms and more, and spoils one or none. Only calls of
 * many milliseconds are cells by themselves.
 */
const CELL_MS = 1;
const LEAST_SAMPLES = 3;
const MOST_SAMPLES = 15;
const LONG_CALL_MS = 10;
const MOST_BLOCKS = 500;
const LEAST_BLOCKS = 3;
const PATIENCE = 4;

/** Warm-up ends when three windows in a row agree within this, or when its time is up. */
const STABLE = 0.03;
const WINDOW_MS = 15;
const WARMUP_MS = 400;

/**
 * Times lanes against each other. A block is all lanes in a random order and then in the reverse of it (of two: ABBA or
 * BAAB), so whatever drifts in time meets all alike; blocks follow each other until the time is up, and where ratios to the first lane are not known well enough by then,
 * on a machine that others use, for up to four times as long.
 */
export async function measureBlocks(
  lanes: readonly Lane[],
  { milliseconds, precision }: Effort,
  random: Random,
): Promise<LaneTimes[]> {
  let turn = 0;
  const timers = shuffled(lanes, random).map((lane) => {
    const once = warmUp(() => {
      lane.call(turn++);
    });
    return { lane, ...timer(lane, once, () => turn++) };
  });
  const times = new Map(
    lanes.map(({ name }): [string, LaneTimes] => [
      name,
      { name, cells: [], outliers: 0, samples: 0, pauses: { any: 0, major: 0 }, compiled: undefined },
    ]),
  );
  const pauses = watchPauses();
  const begin = performance.now();
  for (let block = 0; block < MOST_BLOCKS; block++) {
    const spent = performance.now() - begin;
    const isEnough =
      spent > milliseconds && (spent > PATIENCE * milliseconds || isPrecise([...times.values()], precision));
    if (block >= LEAST_BLOCKS && isEnough) break;
    const order = shuffled(timers, random);
    for (const { lane, cell } of [...order, ...order.toReversed()]) {
      const samples = cell();
      const middle = median(samples);
      const result = times.get(lane.name)!;
      result.cells.push(middle);
      result.samples += samples.length;
      result.outliers += samples.filter((sample) => sample > 3 * middle).length;
    }
  }
  const found = await pauses.end();
  for (const { lane, seen } of timers) {
    const result = times.get(lane.name)!;
    result.pauses = countPauses(seen.spans, found);
    result.compiled = compiledOf(seen.tiers);
  }
  return [...times.values()];
}

/** Whether the median of each lane's ratios to the first has a standard error below `precision`, by their spread. */
function isPrecise([base, ...others]: readonly LaneTimes[], precision: number): boolean {
  return others.every(({ cells }) => {
    const logs = blockRatios(cells, base.cells).map(Math.log);
    const middle = median(logs);
    const deviation = 1.48 * median(logs.map((log) => Math.abs(log - middle))); // As of a normal distribution.
    return logs.length > 5 && (1.25 * deviation) / Math.sqrt(logs.length) < precision;
  });
}

/** What the harness adds, in seconds: to each sample (reading the clock), and to each of the calls in it (the loop). */
export interface Overhead {
  readonly sample: number;
  readonly call: number;
}

/** Measured with a call that does nothing, in samples of one call and of a thousand. */
export function measureOverhead(): Overhead {
  const nothing: Lane = { name: 'nothing', call: () => undefined };
  const perCall = (calls: number): number => {
    const { cell } = timer(nothing, SAMPLE_MS / calls, () => 0);
    return median(Array.from({ length: 50 }, cell).slice(10).flat());
  };
  return { sample: perCall(1), call: perCall(1000) };
}

/** What is noted of samples beside their times. */
interface Seen {
  /** When each began and ended: `[begin, end, begin, end, ...]`. */
  readonly spans: number[];
  /** After each. */
  readonly tiers: Tier[];
}

/** tinybench takes the samples; a cell is one run of its task. */
function timer({ name, call, tier }: Lane, callMs: number, next: () => number): { cell: () => number[]; seen: Seen } {
  const batch = Math.max(1, Math.ceil(SAMPLE_MS / callMs));
  const least = callMs > LONG_CALL_MS ? 1 : LEAST_SAMPLES;
  const iterations = Math.min(MOST_SAMPLES, Math.max(least, Math.round(CELL_MS / (batch * callMs))));
  const bench = new Bench({ iterations, time: 0, warmup: false, retainSamples: true, throws: true });
  const seen: Seen = { spans: [], tiers: [] };
  const beforeEach = (): void => {
    seen.spans.push(performance.now());
  };
  const afterEach = (): void => {
    seen.spans.push(performance.now());
    const now = tier?.();
    if (now !== undefined) seen.tiers.push(now);
  };
  const body = (): void => {
    for (let i = 0; i < batch; i++) call(next());
  };
  const task = new Task(bench, name, body, { beforeEach, afterEach });
  const cell = (): number[] => {
    task.reset(false);
    const { result } = task.runSync();
    if (!('latency' in result) || result.latency.samples === undefined) throw new Error('tinybench kept no samples.');
    return result.latency.samples.map((milliseconds) => milliseconds / 1000 / batch);
  };
  return { cell, seen };
}

/** What the tiers after each sample come to; undefined where none is known. */
export function compiledOf(tiers: readonly Tier[]): Compiled | undefined {
  const tier = tiers.at(-1);
  if (tier === undefined) return undefined;
  const optimised = tiers.map(isOptimised);
  const deopts = optimised.filter((is, i) => i > 0 && optimised[i - 1] && !is).length;
  return { tier, optimised: optimised.filter(Boolean).length / tiers.length, deopts };
}

/** Calls until times are stable; gives the milliseconds of a call. */
function warmUp(call: () => void): number {
  const begin = performance.now();
  const windows: number[] = [];
  for (;;) {
    const start = performance.now();
    let calls = 0;
    let now: number;
    do {
      call();
      calls++;
      now = performance.now();
    } while (now - start < WINDOW_MS);
    windows.push((now - start) / calls);
    const last = windows.slice(-3);
    const isStable = last.length === 3 && Math.max(...last) < Math.min(...last) * (1 + STABLE);
    if (isStable || now - begin > WARMUP_MS) return Math.min(...last);
  }
}

/** The items in a random order, each order as likely as any other (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
