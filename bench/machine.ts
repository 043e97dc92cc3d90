import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Model } from 'vitrine';

/** What a figure belongs to; without it the figure says nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory: number;
  readonly node: string;
  /** With TensorFlow's version. */
  readonly backend: string;
  readonly date: string;
}

export const machineOf = ({ backend }: Model): Machine => ({
  cpu: cpus().at(0)?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory: totalmem(),
  node: process.version,
  backend: backend.description,
  date: new Date().toISOString(),
});
