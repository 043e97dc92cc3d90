import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isAbandoned, ownerName } from '../platform/owner.ts';

/**
 * Makes the folder (or link) `target` by filling a temporary sibling and renaming it, so that what exists is complete.
 * Several processes may do so at once: the first rename wins, the others drop their equal work.
 */
export async function makeComplete(target: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await removeAbandoned(target);
  const temporary = partialPrefix(target) + ownerName();
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
    if (name.startsWith(prefix) && isAbandoned(name.slice(prefix.length))) {
      await rm(join(dirname(target), name), { recursive: true, force: true });
    }
  }
}

const partialPrefix = (target: string): string => `${target}.partial-`;
