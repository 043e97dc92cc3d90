import { createHash } from 'node:crypto';
import type { ModelFiles } from '../loader/model-files.ts';
import { InputFile } from '../loader/input-file.ts';

/** Bytes at each of so many places of a file, evenly spaced, the first and the last bytes among them. */
const SAMPLE = 64 * 2 ** 10;
const PLACES = 16;

/**
 * What tells one model from another: a hash of config.json, of the names, formats and shapes of its tensors, and of 1 MB of each
 * file with weights. Two fine-tunes of a model differ in nearly every byte; a change of a few bytes elsewhere goes unseen,
 * which is the price of not reading gigabytes.
 *
 * @throws LoadError where a file cannot be read.
 */
export async function modelHash({ config, checkpoint }: Pick<ModelFiles, 'config' | 'checkpoint'>): Promise<string> {
  const { tensors } = checkpoint;
  const hash = createHash('sha256');
  hash.update(JSON.stringify(config));
  const files = new Set<string>();
  for (const name of [...tensors.keys()].sort()) {
    const { format, shape, file } = tensors.get(name)!;
    hash.update(`${JSON.stringify([name, format, shape])}\n`);
    files.add(file); // In the order of their tensors: names of files differ from cache to cache.
  }
  for (const path of files) {
    const file = await InputFile.open(path);
    try {
      for (const { position, length } of samplesOf(file.size)) {
        const bytes = new Uint8Array(length);
        await file.read(bytes, position);
        hash.update(bytes);
      }
    } finally {
      await file.close();
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** Where a file of so many bytes is read; a small one as a whole. */
export function samplesOf(size: number): { readonly position: number; readonly length: number }[] {
  if (size <= SAMPLE * PLACES) return [{ position: 0, length: size }];
  return Array.from({ length: PLACES }, (_, place) => ({
    position: Math.floor((place * (size - SAMPLE)) / (PLACES - 1)),
    length: SAMPLE,
  }));
}
