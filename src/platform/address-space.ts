import { type ReadSystemFile, readSystemFile } from './system-file.ts';

/** The limit on the address space of this process (`ulimit -v`, which batch systems set), in bytes. */
export interface AddressSpace {
  /** Infinity where there is no limit. */
  readonly limit: number;
  /** Bytes that can still be reserved; Infinity where there is no limit. */
  readonly left: number;
}

/**
 * The address space of this process, unlimited on most machines and, as far as this can tell, on all systems but Linux.
 * Memory is reserved in it long before it is used, and native code that cannot reserve any ends the process.
 */
export function addressSpace(read: ReadSystemFile = readSystemFile): AddressSpace {
  const limit = Number(/^Max address space +(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1] ?? Infinity);
  if (limit === Infinity) return { limit, left: Infinity };
  const kilobytes = Number(/^VmSize:\s+(\d+) kB$/m.exec(read('/proc/self/status') ?? '')?.[1] ?? 0);
  return { limit, left: Math.max(0, limit - kilobytes * 1024) };
}
