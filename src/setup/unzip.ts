import { createWriteStream } from 'node:fs';
import { mkdir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openPromise } from 'yauzl';
import { formatBytes } from '../format-bytes.ts';
import type { OnProgress } from '../loader/progress.ts';
import { SetupError } from './setup-error.ts';

/** How to unpack a zip file. */
export interface UnzipOptions {
  /**
   * Whether to unpack the entry of this name. The zip reader refuses names that lead out of the folder and entries longer than
   * they state; links are written as files.
   */
  readonly wanted: (name: string) => boolean;
  /** The label of the progress. */
  readonly label: string;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

async function refuseFullDisk(folder: string, bytes: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { bavail, bsize } = await statfs(folder);
  // Some network file systems always state 0 free bytes.
  if (bavail === 0 || bytes <= bavail * bsize) return;
  throw new SetupError(
    `unpack ${folder}: expected ${formatBytes(bytes)} free on its disk, got ${formatBytes(bavail * bsize)}. ` +
      'Make room, or set VITRINE_CACHE to another disk',
  );
}

/**
 * Unpacks the wanted entries of a zip file, such as a wheel, into `folder`, and returns their names.
 * @throws {SetupError} when the disk is full
 */
export async function unzip(file: string, folder: string, options: UnzipOptions): Promise<string[]> {
  const { wanted, label, onProgress, signal } = options;
  const zip = await openPromise(file, { autoClose: false });
  try {
    const entries = [];
    for await (const entry of zip.eachEntry()) {
      if (!entry.fileName.endsWith('/') && wanted(entry.fileName)) entries.push(entry);
    }
    const total = entries.reduce((sum, entry) => sum + entry.uncompressedSize, 0);
    await refuseFullDisk(folder, total);
    let loaded = 0;
    for (const entry of entries) {
      const path = join(folder, entry.fileName);
      await mkdir(dirname(path), { recursive: true });
      const count = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          loaded += chunk.length;
          onProgress?.({ label, loaded, total });
          done(null, chunk);
        },
      });
      await pipeline(await zip.openReadStreamPromise(entry), count, createWriteStream(path), { signal });
    }
    return entries.map((entry) => entry.fileName);
  } finally {
    zip.close();
  }
}
