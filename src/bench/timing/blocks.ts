import { Bench, Task } from 'tinybench';
import type { Random } from '../../sampling/random.ts';
import { countPauses, watchPauses } from './gc-pauses.ts';
import { blockRatios, median } from './statistics.ts';
import { isOptimised, type Tier } from './compiler-tier.ts';

/** A function to be timed against others. */
export interface Lane {
  readonly name: string;
  /** The timed call; `count` increases with each call of any lane. */
  readonly call: (count: number) => void;
  /** The compiler tier of its code now. Default: unknown. */
  readonly tier?: (() => Tier | undefined) | undefined;
}

/** The measurements of a lane. */
export interface LaneTimes {
  readonly name: string;
  /** Seconds per call: the median of each cell. A block has two cells of a lane, as in ABBA. */
  readonly cells: number[];
  /** Samples above three times their cell's median, as when another process had the core. They stay in the figures. */
  outliers: number;
  /** Samples taken. */
  samples: number;
  /** Samples with any pause of the garbage collector, and with a major one. They stay in the figures. */
  pauses: { readonly any: number; readonly major: number };
  /** Undefined for a lane without `tier`. */
  compiled: Compiled | undefined;
}

/** The compilation of a function while it was timed, looked at after each sample. */
export interface Compiled {
  /** The tier after the last sample. */
  readonly tier: Tier;
  /** The part of the samples after which the code was optimised, from 0 to 1. */
  readonly optimised: number;
  /** Changes from optimised code to code that is not. */
  readonly deopts: number;
}

/** The time to spend on a measurement. */
export interface Effort {
  /** Time for all blocks; up to four times as long on a noisy machine. */
  readonly milliseconds: number;
  /** The standard error of ratios that ends a measurement when its time is up. */
  readonly precision: number;
}

/** The least length of a sample, which is several calls: reading the clock (30 ns) then does not count. */
const SAMPLE_MS = 0.1;
/**
 * The length of a cell, which is several samples, of which the median counts: a time slice of another process takes 3 ms or more, so
 * it spoils at most one sample. Only a call of more than `LONG_CALL_MS` is a cell by itself.
 */
const CELL_MS = 1;
const LEAST_SAMPLES = 3;
const MOST_SAMPLES = 15;
const LONG_CALL_MS = 10;
const MOST_BLOCKS = 500;
const LEAST_BLOCKS = 3;
/** On a noisy machine, blocks go on for at most this many times the asked-for time. */
const PATIENCE = 4;

/** Warm-up ends when three windows in a row agree within this part, or when its time is up. */
const STABLE = 0.03;
const WINDOW_MS = 15;
const WARMUP_MS = 400;
/** No warm-up is longer than this many times the measurement. */
const WARMUP_RATIO = 10;

/**
 * Times lanes against each other. A block is all lanes in a random order and then in the reverse order (for two lanes ABBA or
 * BAAB), so that a drift in time affects all alike. Blocks go on until the time is up, and for up to four times as long while
 * the ratios to the first lane are less precise than asked for.
 */
export async function measureBlocks(
  lanes: readonly Lane[],
  { milliseconds, precision }: Effort,
  random: Random,
): Promise<LaneTimes[]> {
  let count = 0;
  const timers = shuffled(lanes, random).map((lane) => {
    const once = warmUp(() => {
      lane.call(count++);
    }, milliseconds);
    return { lane, ...timer(lane, once, () => count++) };
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
  const allPauses = await pauses.end();
  for (const { lane, seen } of timers) {
    const result = times.get(lane.name)!;
    result.pauses = countPauses(seen.spans, allPauses);
    result.compiled = compiledOf(seen.tiers);
  }
  return [...times.values()];
}

/** Whether the median of each lane's ratios to the first has a standard error below `precision`, estimated from their spread. */
function isPrecise([base, ...others]: readonly LaneTimes[], precision: number): boolean {
  return others.every(({ cells }) => {
    const logs = blockRatios(cells, base.cells).map(Math.log);
    const middle = median(logs);
    // For a normal distribution: the deviation by the median absolute deviation, and the median's standard error by it.
    const deviation = 1.48 * median(logs.map((log) => Math.abs(log - middle)));
    return logs.length > 5 && (1.25 * deviation) / Math.sqrt(logs.length) < precision;
  });
}

/** The harness's own time, in seconds: per sample (reading the clock), and per call in a sample (the loop). */
export interface Overhead {
  readonly sample: number;
  readonly call: number;
}

/** Measures the overhead with an empty function, in samples of one call and of a thousand. */
export function measureOverhead(): Overhead {
  const nothing: Lane = { name: 'nothing', call: () => undefined };
  const perCall = (calls: number): number => {
    const { cell } = timer(nothing, SAMPLE_MS / calls, () => 0);
    return median(Array.from({ length: 50 }, cell).slice(10).flat());
  };
  return { sample: perCall(1), call: perCall(1000) };
}

/** Observations of a lane's samples. */
interface Seen {
  /** Begin and end of each sample: `[begin, end, begin, end, ...]`, in milliseconds. */
  readonly spans: number[];
  /** The tier after each sample. */
  readonly tiers: Tier[];
}

/** Makes a function that measures a cell: one run of a tinybench task, which gives the seconds per call of each sample. */
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

/** Sums up the tiers after each sample; undefined for an empty list. */
export function compiledOf(tiers: readonly Tier[]): Compiled | undefined {
  const tier = tiers.at(-1);
  if (tier === undefined) return undefined;
  const optimised = tiers.map(isOptimised);
  const deopts = optimised.filter((is, i) => i > 0 && optimised[i - 1] && !is).length;
  return { tier, optimised: optimised.filter(Boolean).length / tiers.length, deopts };
}

/** Calls until times are stable, or until the warm-up's time is up; gives the milliseconds of a call. */
function warmUp(call: () => void, milliseconds: number): number {
  const most = Math.min(WARMUP_MS, WARMUP_RATIO * milliseconds);
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
    if (isStable || now - begin > most) return Math.min(...last);
  }
}

/** The items in a random order, uniform over all orders (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
