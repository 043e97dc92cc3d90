import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os';
import { backendStatus } from '../../tensor/backends.ts';

/** What there is to compute with. */
export interface MachineInfo {
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly free: number };
  /** Threads that the backend uses. */
  readonly threads: number;
  /** Best first; `auto` uses the first that is available. */
  readonly backends: readonly {
    readonly name: string;
    readonly available: boolean;
    readonly used: boolean;
    /** What it computes on, or why it cannot be used. */
    readonly description: string;
  }[];
}

export function machineInfo(threads: number | undefined): MachineInfo {
  const status = backendStatus({ threads });
  const used = status.find(({ backend }) => backend !== undefined);
  return {
    node: process.version,
    platform: `${platform()}-${arch()}`,
    cpu: cpus().at(0)?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: { total: totalmem(), free: freemem() },
    threads: used?.name === 'reference' ? 1 : (threads ?? availableParallelism()),
    backends: status.map((entry) => ({
      name: entry.name,
      available: entry.backend !== undefined,
      used: entry === used,
      description: entry.description,
    })),
  };
}
