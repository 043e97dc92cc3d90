import { realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';

import { LoadError, quote } from './load-error.ts';

/**
 * The real path of a file of a model folder. Links may lead to files of the same folder or, as the Hugging Face cache
 * lays them out (`models--org--name/snapshots/COMMIT/file`), to the `blobs/` of the same repository; nowhere else.
 * @throws LoadError for a link that leads elsewhere, or when there is no such file.
 */
export async function resolveInFolder(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  let real: string;
  let root: string;
  try {
    [real, root] = await Promise.all([realpath(path), realpath(folder)]);
  } catch (cause) {
    throw new LoadError(`open ${path}: ${(cause as Error).message}`, { cause });
  }
  const allowed = [root, cacheBlobs(root)].some((place) => place !== undefined && real.startsWith(place + sep));
  if (!allowed) {
    throw new LoadError(`${path}: links to ${quote(real)}, outside the model's folder. Copy the file into the folder.`);
  }
  return real;
}

function cacheBlobs(root: string): string | undefined {
  const snapshots = dirname(root);
  const repository = dirname(snapshots);
  const inCache = basename(snapshots) === 'snapshots' && basename(repository).startsWith('models--');
  return inCache ? join(repository, 'blobs') : undefined;
}
