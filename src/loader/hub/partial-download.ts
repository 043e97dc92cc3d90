import { readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { isAbandoned, ownerName } from '../../platform/owner.ts';

/**
 * A blob on its way is `HASH.OWNER.incomplete`. Renaming is the lock: of several processes one gets what an interrupted
 * download left, the others begin their own. The libraries in Python and JavaScript append to, or truncate, a plain
 * `HASH.incomplete`; ours has another name so that neither disturbs the other.
 */
const SUFFIX = '.incomplete';

/** The owner of a partial whose download ended, and may go on. */
export const FREE = 'vitrine';

/** The hash and the owner in a partial's name; undefined for other names. */
export function parsePartial(name: string): { hash: string; owner: string } | undefined {
  const parts = /^([0-9a-f]{40}|[0-9a-f]{64})\.(.+)\.incomplete$/.exec(name);
  return parts === null ? undefined : { hash: parts[1], owner: parts[2] };
}

export const freePartial = (blob: string): string => `${blob}.${FREE}${SUFFIX}`;

/** A path for a partial that belongs to this call alone, with what an interrupted download left, if one did. */
export async function claimPartial(blob: string): Promise<string> {
  const own = `${blob}.${ownerName()}${SUFFIX}`;
  for (const { path } of await leftPartials(blob)) {
    const isOurs = await rename(path, own).then(
      () => true,
      () => false,
    );
    if (isOurs) break;
  }
  return own;
}

/** Partials of a blob that nobody works on, the furthest first. */
export async function leftPartials(blob: string): Promise<{ path: string; size: number }[]> {
  const found: { path: string; size: number }[] = [];
  for (const name of await readdir(dirname(blob)).catch(() => [])) {
    const partial = parsePartial(name);
    if (partial?.hash !== basename(blob) || (partial.owner !== FREE && !isAbandoned(partial.owner))) continue;
    const path = join(dirname(blob), name);
    const size = await stat(path).then(
      (file) => file.size,
      () => 0,
    );
    found.push({ path, size });
  }
  return found.sort((a, b) => b.size - a.size);
}
