import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** Behind the host: the process, when that process began (which older names lack), and a random part. */
const PROCESS = /^(\d+)-(?:(\d*)-)?[0-9a-z]+/;

/** A part of a file's name that says which process makes the file: one that is killed cannot clear it away. */
export const ownerName = (): string =>
  `${hostname()}-${process.pid}-${startOf(process.pid)}-${Math.random().toString(36).slice(2)}`;

/** Whether a name that begins with an {@link ownerName} is that of a process of this machine that no longer runs. */
export function isAbandoned(name: string): boolean {
  const own = `${hostname()}-`;
  const found = name.startsWith(own) ? PROCESS.exec(name.slice(own.length)) : null;
  return found !== null && !isRunning(Number(found[1]), found[2]);
}

/** Whether the process is there and is the one that began at `start`, and not another that got its number. */
function isRunning(pid: number, start: string | undefined): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const began = startOf(pid);
  return began !== ENDED && (start === undefined || began === start);
}

const ENDED = 'ended';

/** When a process began, as Linux counts it; '' where that is not known. */
function startOf(pid: number): string {
  try {
    // The name of the program, in brackets, may hold anything.
    const [state, ...rest] = (readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1) ?? '').split(' ');
    // One that was killed keeps its number until its parent has heard of it, which in a container may be never.
    return state === 'Z' || state === 'X' ? ENDED : rest[18];
  } catch {
    return '';
  }
}
