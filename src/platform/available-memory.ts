import { freemem } from 'node:os';
import { dirname, join } from 'node:path';
import { type ReadSystemFile, readSystemFile } from './system-file.ts';

/**
 * Bytes that this process can still allocate: the least of what the system has without swapping and what the limits of
 * the process's control groups leave. The page cache counts as free, since the system gives it up. Node's
 * `process.availableMemory` counts it as used within a control group, where a model file that was just copied fills the limit.
 */
export function availableMemory(read: ReadSystemFile = readSystemFile): number {
  const meminfo = read('/proc/meminfo');
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo ?? '')?.[1];
  const system = kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
  const left = controlGroups(read).flatMap((group) => leftIn(group, read));
  return Math.max(0, Math.min(system, ...left));
}

interface ControlGroup {
  readonly root: string;
  /** The group of the process, below the root. */
  readonly path: string;
  readonly files: { readonly limit: string; readonly usage: string; readonly reclaimable: string };
}

const VERSION_1 = {
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  reclaimable: 'total_inactive_file',
};
const VERSION_2 = { limit: 'memory.max', usage: 'memory.current', reclaimable: 'inactive_file' };

/** The memory control groups of this process: version 1, version 2, or both; see cgroups(7). */
function controlGroups(read: ReadSystemFile): ControlGroup[] {
  const lines = read('/proc/self/cgroup')?.split('\n') ?? [];
  return lines.flatMap((line): ControlGroup[] => {
    const parts = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (parts === null) return [];
    const [, controllers, path] = parts;
    if (controllers === '') return [{ root: '/sys/fs/cgroup', path, files: VERSION_2 }];
    if (controllers.split(',').includes('memory')) return [{ root: '/sys/fs/cgroup/memory', path, files: VERSION_1 }];
    return [];
  });
}

/** The bytes that each limit leaves, from the process's group up to the root; a container sees its own group as the root. */
function leftIn({ root, path, files }: ControlGroup, read: ReadSystemFile): number[] {
  const left: number[] = [];
  for (let at = path; ; at = dirname(at)) {
    const number = (file: string): number => Number(read(join(root, at, file)) ?? NaN);
    const [limit, usage] = [number(files.limit), number(files.usage)];
    const stat = read(join(root, at, 'memory.stat')) ?? '';
    const reclaimable = Number(new RegExp(`^${files.reclaimable} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
    // In version 2 no limit is the word `max`.
    if (Number.isFinite(limit) && Number.isFinite(usage)) left.push(limit - usage + reclaimable);
    if (at === '/' || at === '.') return left;
  }
}
