import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os';
import { availableMemory } from '../../platform/available-memory.ts';
import { backendStatus } from '../../tensor/backends.ts';

/** The hardware and software to compute with. */
export interface MachineInfo {
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  /** Bytes; `free` is the memory that this process can still allocate within the limits of its control groups. */
  readonly memory: { readonly total: number; readonly free: number };
  /** Threads that the backend uses. */
  readonly threads: number;
  /** Best first; `auto` uses the first that is available. */
  readonly backends: readonly {
    readonly name: string;
    readonly available: boolean;
    readonly used: boolean;
    /** The device that it computes on, or the reason why it cannot be used. */
    readonly description: string;
  }[];
}

/** Describes this machine. @param threads The threads that the user asks for; undefined: all. */
export function machineInfo(threads: number | undefined): MachineInfo {
  const status = backendStatus({ threads });
  const used = status.find(({ backend }) => backend !== undefined);
  return {
    node: process.version,
    platform: `${platform()}-${arch()}`,
    cpu: cpus().at(0)?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: { total: totalmem(), free: availableMemory() },
    threads: used?.backend?.threads ?? threads ?? availableParallelism(),
    backends: status.map((entry) => ({
      name: entry.name,
      available: entry.backend !== undefined,
      used: entry === used,
      description: entry.description,
    })),
  };
}
