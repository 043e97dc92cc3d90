import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openPromise } from 'yauzl';
import type { OnProgress } from '../loader/progress.ts';

export interface UnzipOptions {
  /** Which entries to unpack. Names that leave the folder are refused by the reader. */
  readonly wanted: (name: string) => boolean;
  readonly label: string;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Unpacks the wanted entries of a zip file (a wheel is one) into `folder`, streaming, and returns their names. */
export async function unzip(file: string, folder: string, options: UnzipOptions): Promise<string[]> {
  const { wanted, label, onProgress, signal } = options;
  const zip = await openPromise(file, { autoClose: false });
  try {
    const entries = [];
    for await (const entry of zip.eachEntry()) {
      if (!entry.fileName.endsWith('/') && wanted(entry.fileName)) entries.push(entry);
    }
    const total = entries.reduce((sum, entry) => sum + entry.uncompressedSize, 0);
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
