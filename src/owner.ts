import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** A part of a file's name that says which process makes the file: one that is killed cannot clear it away. */
export const ownerName = (): string => `${hostname()}-${process.pid}-${Math.random().toString(36).slice(2)}`;

/** Whether a name that begins with an {@link ownerName} is that of a process of this machine that no longer runs. */
export function isAbandoned(name: string): boolean {
  const own = `${hostname()}-`;
  if (!name.startsWith(own)) return false;
  const pid = /^(\d+)-/.exec(name.slice(own.length))?.[1];
  return pid !== undefined && !isRunning(Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // One that was killed keeps its number until its parent has heard of it, which in a container may be never.
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return true;
  }
}
