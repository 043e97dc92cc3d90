import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Goes on with host, process, when that process began, and a random number. */
const ABANDONABLE = /^\.([^/]+)-(\d+)-(\d*)-[0-9a-f]{12}\.tmp(\.former)?$/;

/**
 * A name beside `target`, to be renamed to it when it is complete. What runs that were killed have left under such names is
 * removed before: of this machine, and of processes that are no longer there.
 */
export async function temporaryBeside(target: string): Promise<string> {
  await removeAbandoned(target);
  return `${target}.${hostname()}-${process.pid}-${startOf(process.pid)}-${randomBytes(6).toString('hex')}.tmp`;
}

/** What `target` is renamed to while `temporary` takes its place. */
export const formerBeside = (temporary: string): string => `${temporary}.former`;

async function removeAbandoned(target: string): Promise<void> {
  const [folder, name] = [dirname(target), basename(target)];
  for (const entry of await readdir(folder).catch(() => [])) {
    if (!entry.startsWith(`${name}.`)) continue;
    const [, host, pid, start, former] = ABANDONABLE.exec(entry.slice(name.length)) ?? [];
    if (host !== hostname() || isRunning(Number(pid), start)) continue;
    // It was killed between two renames: what it had put aside is all that there is.
    if (former !== undefined && (await isMissing(target))) await rename(join(folder, entry), target);
    else await rm(join(folder, entry), { recursive: true, force: true });
  }
}

const isMissing = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    () => true,
  );

/** Whether the process is there and is the one that began at `start`, and not another that got its number. */
function isRunning(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return startOf(pid) === start;
}

/** When a process began, as Linux counts it; '' where that is not known. */
function startOf(pid: number): string {
  try {
    // The name of the program, in brackets, may hold anything.
    const [state, ...rest] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
    return state === 'Z' || state === 'X' ? 'ended' : rest[18];
  } catch {
    return '';
  }
}
