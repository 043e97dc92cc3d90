import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';

/** A time in which the garbage collector held the program up, in milliseconds of `performance.now()`. */
export interface Pause {
  readonly begin: number;
  readonly end: number;
  /** Whether all memory was looked at, and not only what is new. */
  readonly isMajor: boolean;
}

/** Notes pauses from now on; they are told at the end, since Node reports them between turns of its event loop. */
export function watchPauses(): { end(): Promise<Pause[]> } {
  const pauses: Pause[] = [];
  const note = (entries: readonly PerformanceEntry[]): void => {
    for (const entry of entries) {
      const { startTime: begin, duration } = entry;
      const { kind } = (entry as PerformanceEntry & { detail: { kind: number } }).detail;
      pauses.push({ begin, end: begin + duration, isMajor: kind === constants.NODE_PERFORMANCE_GC_MAJOR });
    }
  };
  const observer = new PerformanceObserver((list) => {
    note(list.getEntries());
  });
  observer.observe({ entryTypes: ['gc'] });
  return {
    end: async () => {
      await setImmediate(); // Node makes entries of what V8 told it,
      await setImmediate(); // and hands them over.
      note(observer.takeRecords());
      observer.disconnect();
      return pauses.sort((a, b) => a.begin - b.begin);
    },
  };
}

/** How many spans of time, one after the other as `[begin, end, begin, end, ...]`, have a pause in them, and a major one. */
export function countPauses(spans: readonly number[], pauses: readonly Pause[]): { any: number; major: number } {
  const count = (some: readonly Pause[]): number => {
    let [next, found] = [0, 0];
    for (let i = 0; i < spans.length; i += 2) {
      while (next < some.length && some[next].end <= spans[i]) next++;
      if (next < some.length && some[next].begin < spans[i + 1]) found++;
    }
    return found;
  };
  return { any: count(pauses), major: count(pauses.filter(({ isMajor }) => isMajor)) };
}
