import { readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { isAbandoned, ownerName } from '../../platform/owner.ts';

/**
 * A partial download of a blob is called `HASH.OWNER.incomplete`. Renaming it serves as a lock: one of several processes gets
 * the bytes that an interrupted download left, and the others begin anew. Hugging Face's own libraries append to, or truncate,
 * `HASH.incomplete`; the other name keeps the two apart.
 */
const SUFFIX = '.incomplete';

/** The owner in the name of a partial download that no process works on. */
export const FREE = 'vitrine';

/** The hash and the owner in the name of a partial download; undefined for other names. */
export function parsePartial(name: string): { hash: string; owner: string } | undefined {
  const parts = /^([0-9a-f]{40}|[0-9a-f]{64})\.(.+)\.incomplete$/.exec(name);
  return parts === null ? undefined : { hash: parts[1], owner: parts[2] };
}

/** The path of a partial download that no process works on. */
export const freePartial = (blob: string): string => `${blob}.${FREE}${SUFFIX}`;

/**
 * A path for a partial download that belongs to this call, with the bytes of the longest interrupted download if there is one.
 */
export async function claimPartial(blob: string): Promise<string> {
  const own = `${blob}.${ownerName()}${SUFFIX}`;
  for (const { path } of await leftPartials(blob)) {
    const isClaimed = await rename(path, own).then(
      () => true,
      () => false,
    );
    if (isClaimed) break;
  }
  return own;
}

/** The partial downloads of a blob that no running process works on, the longest first. */
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
