import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/**
 * Makes the folder (or link) `target` by filling a temporary sibling and renaming it, so that what exists is complete.
 * Several processes may do so at once: the first rename wins, the others drop their equal work.
 */
export async function makeComplete(target: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await removeAbandoned(target);
  const temporary = `${partialPrefix(target)}${process.pid}-${Math.random().toString(36).slice(2)}`;
  try {
    await fill(temporary);
    await rename(temporary, target).catch((error: unknown) => {
      if (!existsSync(target)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Removes what processes of this machine that no longer run have left behind. */
async function removeAbandoned(target: string): Promise<void> {
  const prefix = basename(partialPrefix(target));
  for (const name of await readdir(dirname(target))) {
    if (name.startsWith(prefix) && !isRunning(Number.parseInt(name.slice(prefix.length), 10))) {
      await rm(join(dirname(target), name), { recursive: true, force: true });
    }
  }
}

const partialPrefix = (target: string): string => `${target}.partial-${hostname()}-`;

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
