import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';

/** A pause of the garbage collector, in milliseconds of `performance.now()`. */
export interface Pause {
  readonly begin: number;
  readonly end: number;
  /** Whether it was a major collection, of the whole heap. */
  readonly isMajor: boolean;
}

/** Records pauses from now on. `end` is asynchronous because Node reports pauses from its event loop. */
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
      // Node queues an entry in one turn of its event loop, and delivers it in the next.
      await setImmediate();
      await setImmediate();
      note(observer.takeRecords());
      observer.disconnect();
      return pauses.sort((a, b) => a.begin - b.begin);
    },
  };
}

/** The number of spans `[begin, end, begin, end, ...]` in order of time that overlap any pause, and a major one. */
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
