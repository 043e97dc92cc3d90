import { existsSync } from 'node:fs';
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isAbandoned, ownerName } from '../../platform/owner.ts';

const TEMPORARY = '.tmp';
const FORMER = '.former';

/** Makes a file, folder or link under the path that it is given. */
export type Fill = (temporary: string) => Promise<void>;

/**
 * Makes the file, folder or link `target`: `fill` makes it under a temporary name in the same folder, and a rename puts it in
 * place, so that a target that exists is complete. Several processes may do so at once: the first rename wins, and the others
 * drop their equal work. The folder of the target is created where it is missing. After an error nothing is left.
 */
export async function makeComplete(target: string, fill: Fill): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await viaTemporary(target, fill, (temporary) =>
    rename(temporary, target).catch((error: unknown) => {
      if (!existsSync(target)) throw error;
    }),
  );
}

/**
 * Makes the file or folder `target` in the same way, and replaces an earlier one, which is kept until `fill` has succeeded.
 * The folder of the target must exist.
 */
export async function replaceComplete(target: string, fill: Fill): Promise<void> {
  await viaTemporary(target, fill, (temporary) => replace(target, temporary));
}

async function viaTemporary(target: string, fill: Fill, put: Fill): Promise<void> {
  await removeAbandoned(target);
  const temporary = `${target}.${ownerName()}${TEMPORARY}`;
  try {
    await fill(temporary);
    await put(temporary);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** A rename replaces a file or an empty folder; a folder with entries is renamed first, and removed last. */
async function replace(target: string, temporary: string): Promise<void> {
  const inTheWay = await rename(temporary, target).then(
    () => false,
    (error: unknown) => {
      if (['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return true;
      throw error;
    },
  );
  if (!inTheWay) return;
  const former = temporary + FORMER;
  await rename(target, former);
  try {
    await rename(temporary, target);
  } catch (error) {
    await rename(former, target);
    throw error;
  }
  await rm(former, { recursive: true, force: true });
}

/** Removes the temporary siblings of `target` whose processes, of this machine, no longer run. */
async function removeAbandoned(target: string): Promise<void> {
  const [folder, prefix] = [dirname(target), `${basename(target)}.`];
  for (const entry of await readdir(folder).catch(() => [])) {
    const isFormer = entry.endsWith(TEMPORARY + FORMER);
    if (!entry.startsWith(prefix) || !(isFormer || entry.endsWith(TEMPORARY))) continue;
    if (!isAbandoned(entry.slice(prefix.length))) continue;
    // A process that was killed between two renames leaves the only complete folder under the former name.
    if (isFormer && (await isMissing(target))) await rename(join(folder, entry), target);
    else await rm(join(folder, entry), { recursive: true, force: true });
  }
}

const isMissing = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    () => true,
  );
