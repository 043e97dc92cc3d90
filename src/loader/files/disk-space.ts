import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { formatBytes } from '../../format-bytes.ts';
import { LoadError } from '../load-error.ts';

/** Error codes of a full disk, a full quota, and a file larger than the process or the file system allows. */
const NO_SPACE = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/**
 * Runs `write`, which writes `bytes` bytes to `path`.
 * @throws {LoadError} when the disk has less room, before `write` is called or while it runs; it names the path and the bytes
 */
export async function withSpace<T>(path: string, bytes: number, write: () => Promise<T>): Promise<T> {
  const disk = await statfs(dirname(path)).catch(() => undefined);
  const free = disk === undefined ? Infinity : disk.bavail * disk.bsize;
  if (bytes > free) {
    throw new LoadError(
      `write ${path}: expected ${formatBytes(bytes)} free on its disk, got ${formatBytes(free)}. ` +
        'Make room, or choose another place.',
    );
  }
  try {
    return await write();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (!NO_SPACE.includes(code ?? '')) throw cause;
    throw new LoadError(
      `write ${path}: expected room for ${formatBytes(bytes)}, got ${message}. Make room, or choose another place.`,
      { cause },
    );
  }
}
