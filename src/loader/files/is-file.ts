import { stat } from 'node:fs/promises';

/** Whether `path` is a regular file or a link to one, of `size` bytes where a size is given. */
export async function isFile(path: string, size?: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && found.isFile() && (size === undefined || found.size === size);
}
