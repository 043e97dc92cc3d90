import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** The hash function by which the hub names a blob of `size` bytes: SHA-256 where names have 64 digits, else git's SHA-1. */
export const blobHasher = (digits: number, size: number): Hash =>
  digits === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);

/**
 * Updates the hashers with the bytes of a file.
 * `onBytes` is called with the number of bytes after each part, of 1 MiB at most.
 * @returns The number of bytes in the file.
 */
export async function hashFile(
  path: string,
  hashers: readonly Hash[],
  { signal, onBytes }: { signal?: AbortSignal | undefined; onBytes?: ((bytes: number) => void) | undefined } = {},
): Promise<number> {
  let total = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
    const bytes = chunk as Buffer;
    for (const hasher of hashers) hasher.update(bytes);
    total += bytes.length;
    onBytes?.(bytes.length);
  }
  return total;
}
