import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { Response } from 'undici';

import { blobHasher, hashFile } from '../files/hash-file.ts';
import { isFile } from '../files/is-file.ts';
import type { HubClient } from './client.ts';
import { HubError } from './hub-error.ts';
import type { HubFile } from './hub-file.ts';
import { claimPartial, freePartial, leftPartials } from './partial-download.ts';
import { TransientError } from './retry.ts';

/** The bytes that an attempt must receive to count as progress, so that a server that sends single bytes is given up. */
const LEAST_PROGRESS = 16_384;

/**
 * Downloads `file` from `url`, which must name a commit, to `path`, where it appears once its hash is right. The bytes received
 * before an interruption are kept in a partial download beside `path`, which the next call continues.
 * @param onBytes Called with the bytes of this file received so far, at each piece.
 * @throws {HubError} when the contents have another hash, or the disk is full
 * @throws {HubUnreachableError} when the server is given up
 */
export async function downloadBlob(
  client: HubClient,
  url: string,
  file: HubFile,
  path: string,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = await claimPartial(path);
  // O_CREAT without O_TRUNC keeps the bytes of an interrupted download.
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const { size } = await handle.stat();
    let isVerified = await receive(client, url, file, handle, partial, onBytes, signal);
    // The kept bytes may be damaged; a whole download decides.
    if (!isVerified && size > 0) {
      await handle.truncate();
      isVerified = await receive(client, url, file, handle, partial, onBytes, signal);
    }
    if (!isVerified) await handle.truncate();
    await handle.sync();
    await handle.close();
    if (!isVerified) {
      await rm(partial, { force: true });
      throw new HubError(
        `${file.name}: expected the checksum ${file.hash} that the hub states, got another one for the ${file.size} bytes received. ` +
          'They were deleted. Try again; if it happens again, a proxy or mirror changes the file.',
      );
    }
    await rename(partial, path).catch(async (error: unknown) => {
      // Another process may have taken the partial download for abandoned, and finished it.
      if (!(await isFile(path, file.size))) throw error;
    });
  } catch (error) {
    const { size } = await handle.stat().catch(() => ({ size: 0 }));
    await handle.close().catch(() => undefined);
    // Received bytes are kept for the next call. Errors are ignored: another process may have renamed the file.
    await (size > 0 ? rename(partial, freePartial(path)) : rm(partial, { force: true })).catch(() => undefined);
    throw error;
  }
}

/** Bytes of a blob that an interrupted download left, which the next one continues; 0 where there are none. */
export async function bytesLeftOf(path: string, size: number): Promise<number> {
  const furthest = (await leftPartials(path)).at(0);
  return furthest === undefined || furthest.size > size ? 0 : furthest.size;
}

const hasherOf = ({ hash, size }: HubFile): Hash => blobHasher(hash.length, size);

/** Whether a file has the size and the hash that the hub states. @param onBytes Called with the bytes hashed so far. */
export async function hasRightHash(
  path: string,
  file: HubFile,
  onBytes?: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<boolean> {
  const hash = hasherOf(file);
  let read = 0;
  const bytes = await hashFile(path, [hash], { signal, onBytes: (count) => onBytes?.((read += count)) });
  return bytes === file.size && hash.digest('hex') === file.hash;
}

/** Downloads the rest of a partial download. Returns whether the hash of the whole file is right. */
async function receive(
  client: HubClient,
  url: string,
  file: HubFile,
  handle: FileHandle,
  partial: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let { size: position } = await handle.stat();
  let hash = hasherOf(file);
  const restart = async (): Promise<void> => {
    await handle.truncate();
    position = 0;
    hash = hasherOf(file);
  };
  if (position > file.size) await restart();
  onBytes(position);
  if (position > 0) await hashFile(partial, [hash], { signal });

  // A server that restarts and breaks at the same place each time makes no progress, however many bytes it sends.
  let furthest = position;
  await client.retry(async () => {
    if (position === file.size) return;
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (position > 0) headers.range = `bytes=${position}-`;
    // No If-Range: the URL names a commit, and the ETags of the store behind the hub are not the file's hash.
    const response = await client.get(url, headers, [416]);
    const announced = announcedSize(response);
    if (announced !== undefined && announced !== file.size) {
      await response.body?.cancel();
      throw new HubError(
        `${file.name}: expected ${file.size} bytes, as the hub lists, got ${announced} from the server. ` +
          'Check HF_ENDPOINT, or try again.',
      );
    }
    if (!continues(response, position, file.size)) {
      if (response.status !== 200) {
        await response.body?.cancel();
        const isFirst = position === 0;
        await restart();
        if (isFirst)
          throw new HubError(`${file.name}: expected status 200, got ${response.status}. Check HF_ENDPOINT.`);
        throw new TransientError(`${file.name}: the server cannot continue the download`);
      }
      await restart();
    }
    const reached = furthest;
    try {
      for await (const chunk of client.read(response, new URL(url))) {
        signal?.throwIfAborted();
        if (position + chunk.length > file.size) {
          throw new HubError(`${file.name}: expected ${file.size} bytes, got more. Check HF_ENDPOINT, or try again.`);
        }
        await writeAll(handle, chunk, position).catch((cause: unknown) => {
          const left = `${file.size - position} of ${file.size} bytes were still to come`;
          throw new HubError(`${partial}: ${(cause as Error).message}; ${left}. Make room, or set HF_HUB_CACHE.`, {
            cause,
          });
        });
        hash.update(chunk);
        position += chunk.length;
        furthest = Math.max(furthest, position);
        onBytes(position);
      }
    } catch (error) {
      if (error instanceof HubError) throw error;
      const progressed = furthest - reached >= LEAST_PROGRESS;
      if (error instanceof TransientError) throw new TransientError(`${file.name}: ${error.message}`, { progressed });
      throw client.failure(error, new URL(url), progressed);
    }
    if (position < file.size) {
      throw new TransientError(`${file.name}: ended after ${position} of ${file.size} bytes`, {
        progressed: furthest - reached >= LEAST_PROGRESS,
      });
    }
  });
  return hash.digest('hex') === file.hash;
}

/** Whether the body of a response begins at byte `position` of a file of `size` bytes. */
function continues({ status, headers }: Response, position: number, size: number): boolean {
  if (status === 200) return position === 0;
  return status === 206 && headers.get('content-range') === `bytes ${position}-${size - 1}/${size}`;
}

/** The size of the file that a response with the whole of it states; undefined where it states none. */
function announcedSize({ status, headers }: Response): number | undefined {
  const length = headers.get('content-length');
  return status !== 200 || length === null || headers.has('content-encoding') ? undefined : Number(length);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
