import { access, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isAbandoned, ownerName } from '../platform/owner.ts';

const TEMPORARY = '.tmp';
const FORMER = '.former';

/**
 * A name beside `target`, to be renamed to it when it is complete. What runs that were killed have left under such names is
 * removed before: of this machine, and of processes that are no longer there.
 */
export async function temporaryBeside(target: string): Promise<string> {
  await removeAbandoned(target);
  return `${target}.${ownerName()}${TEMPORARY}`;
}

/** What `target` is renamed to while `temporary` takes its place. */
export const formerBeside = (temporary: string): string => temporary + FORMER;

async function removeAbandoned(target: string): Promise<void> {
  const [folder, prefix] = [dirname(target), `${basename(target)}.`];
  for (const entry of await readdir(folder).catch(() => [])) {
    const isFormer = entry.endsWith(TEMPORARY + FORMER);
    if (!entry.startsWith(prefix) || !(isFormer || entry.endsWith(TEMPORARY))) continue;
    if (!isAbandoned(entry.slice(prefix.length))) continue;
    // It was killed between two renames: what it had put aside is all that there is.
    if (isFormer && (await isMissing(target))) await rename(join(folder, entry), target);
    else await rm(join(folder, entry), { recursive: true, force: true });
  }
}

const isMissing = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    () => true,
  );
