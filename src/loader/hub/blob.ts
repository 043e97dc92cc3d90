import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { Response } from 'undici';

import { blobHasher, hashFile } from '../hash-file.ts';
import { isFile } from './hub-cache.ts';
import type { HubClient } from './client.ts';
import { HubError } from './hub-error.ts';
import { claimPartial, freePartial, leftPartials } from './partial-download.ts';
import { TransientError } from './retry.ts';

/** What an attempt must bring to count as progress: a server that sends a byte at a time is given up. */
const LEAST_PROGRESS = 16_384;

/** What the hub says about a file at a commit. */
export interface HubFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of a large file (LFS, Xet), git's SHA-1 of a small one; the name of its blob. */
  readonly hash: string;
}

/**
 * Downloads `file` from `url`, which must name a commit, to `path`, where it appears once its hash is right. What came
 * before an interruption is kept in a partial beside `path` and continued by the next call.
 * @param onBytes - bytes of this file that are there, now and then.
 * @throws HubError when the contents are not those of the hash.
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
  // O_CREAT without O_TRUNC: what is there is continued.
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const { size } = await handle.stat();
    let isVerified = await receive(client, url, file, handle, partial, onBytes, signal);
    // A partial may have rotted; what comes afresh must be right.
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
        `${file.name}: the ${file.size} bytes received have another checksum than ${file.hash}, which the hub states. ` +
          'They were thrown away. Try again; if it happens again, a proxy or mirror changes the file.',
      );
    }
    await rename(partial, path).catch(async (error: unknown) => {
      // Another process may have taken over a partial that it thought abandoned, and finished it.
      if (!(await isFile(path, file.size))) throw error;
    });
  } catch (error) {
    const { size } = await handle.stat().catch(() => ({ size: 0 }));
    await handle.close().catch(() => undefined);
    // What came is kept for the next call. The path may be another's by now, or the disk gone.
    await (size > 0 ? rename(partial, freePartial(path)) : rm(partial, { force: true })).catch(() => undefined);
    throw error;
  }
}

/** Bytes of a blob that an interrupted download left, and that the next one need not fetch. */
export async function bytesLeftOf(path: string, size: number): Promise<number> {
  const furthest = (await leftPartials(path)).at(0);
  return furthest === undefined || furthest.size > size ? 0 : furthest.size;
}

const hasherOf = ({ hash, size }: HubFile): Hash => blobHasher(hash.length, size);

/** Whether a file's contents are those that the hub states. */
export async function isRight(
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

/** Fills the partial to its full size. Returns whether its hash is right. */
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

  // A server that starts anew each time and breaks at the same place makes no progress, however many bytes it sends.
  let furthest = position;
  await client.retry(async () => {
    if (position === file.size) return;
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (position > 0) headers.range = `bytes=${position}-`;
    // No If-Range: the URL names a commit, and the content store behind the hub has ETags of its own.
    const response = await client.get(url, headers, [416]);
    const announced = announcedSize(response);
    if (announced !== undefined && announced !== file.size) {
      await response.body?.cancel();
      throw new HubError(
        `${file.name}: expected ${file.size} bytes, as the hub lists it; the server has ${announced}. ` +
          'Check HF_ENDPOINT, or try again.',
      );
    }
    if (!continues(response, position, file.size)) {
      if (response.status !== 200) {
        await response.body?.cancel();
        const isFirst = position === 0;
        await restart();
        if (isFirst)
          throw new HubError(`${file.name}: unexpected answer, status ${response.status}. Check HF_ENDPOINT.`);
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

/** Whether an answer's body begins at `position`. */
function continues({ status, headers }: Response, position: number, size: number): boolean {
  if (status === 200) return position === 0;
  return status === 206 && headers.get('content-range') === `bytes ${position}-${size - 1}/${size}`;
}

/** The size of the whole file, where an answer that begins at its start says it. */
function announcedSize({ status, headers }: Response): number | undefined {
  const length = headers.get('content-length');
  return status !== 200 || length === null || headers.has('content-encoding') ? undefined : Number(length);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
