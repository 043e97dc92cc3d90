import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { formatBytes } from '../format-bytes.ts';
import { LoadError } from './load-error.ts';

/** Full disk, full quota, file beyond the limit of the process or of the file system. */
const NO_SPACE = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/**
 * Does something that writes `bytes` to `path`.
 * @throws LoadError that names both, where the disk has less left, before it is begun or when it turns out.
 */
export async function withSpace<T>(path: string, bytes: number, write: () => Promise<T>): Promise<T> {
  const disk = await statfs(dirname(path)).catch(() => undefined);
  const free = disk === undefined ? Infinity : disk.bavail * disk.bsize;
  if (bytes > free) {
    throw new LoadError(
      `write ${path}: expected ${formatBytes(bytes)} free on its disk, got ${formatBytes(free)}. Make room, or choose another place.`,
    );
  }
  try {
    return await write();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (!NO_SPACE.includes(code ?? '')) throw cause;
    throw new LoadError(
      `write ${path}: it takes ${formatBytes(bytes)}, and there is no room: ${message}. Make room, or choose another place.`,
      { cause },
    );
  }
}
