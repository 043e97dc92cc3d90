import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** The part of a name after the host: process id, start time (which older names lack), and a random part. */
const PROCESS = /^(\d+)-(?:(\d*)-)?[0-9a-z]+/;

/** A name for a temporary file that says which process makes it, since a process that is killed does not remove its files. */
export const ownerName = (): string =>
  `${hostname()}-${process.pid}-${startOf(process.pid)}-${Math.random().toString(36).slice(2)}`;

/** Whether a name that begins with an {@link ownerName} names a process of this machine that no longer runs. */
export function isAbandoned(name: string): boolean {
  const own = `${hostname()}-`;
  const found = name.startsWith(own) ? PROCESS.exec(name.slice(own.length)) : null;
  return found !== null && !isRunning(Number(found[1]), found[2]);
}

/** Whether a process with this id runs and began at `start`; a later process may have got the id of an earlier one. */
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

/** The start time of a process, as Linux counts it; '' where it is not known. */
function startOf(pid: number): string {
  try {
    // The name of the program, in brackets, may contain spaces.
    const [state, ...rest] = (readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1) ?? '').split(' ');
    // A process that has ended keeps its id until its parent has waited for it, which in a container may be never.
    return state === 'Z' || state === 'X' ? ENDED : rest[18];
  } catch {
    return '';
  }
}
