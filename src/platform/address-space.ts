import { readFileSync } from 'node:fs';

/** Text of a file of the system; undefined where there is none. */
export type ReadSystemFile = (path: string) => string | undefined;

const readSystemFile: ReadSystemFile = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** A limit on the address space of this process (`ulimit -v`), as batch systems set it; in bytes. */
export interface AddressSpace {
  readonly limit: number;
  /** What may still be reserved. */
  readonly left: number;
}

/**
 * The address space of this process; `Infinity` twice where it is unlimited, as it is on most machines and on all but Linux.
 * It is reserved long before memory is used, and native code that gets none ends the process rather than throw.
 */
export function addressSpace(read: ReadSystemFile = readSystemFile): AddressSpace {
  const limit = Number(/^Max address space +(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1] ?? Infinity);
  if (limit === Infinity) return { limit, left: Infinity };
  const kilobytes = Number(/^VmSize:\s+(\d+) kB$/m.exec(read('/proc/self/status') ?? '')?.[1] ?? 0);
  return { limit, left: Math.max(0, limit - kilobytes * 1024) };
}
