import { createHash } from 'node:crypto';
import type { ModelFiles } from '../../loader/model-files.ts';
import { InputFile } from '../../loader/files/input-file.ts';

/** Bytes of a sample. */
const SAMPLE = 64 * 2 ** 10;
/** Samples of a file, evenly spaced, the first at its beginning and the last at its end. */
const PLACES = 16;

/**
 * Identifies a model by 16 hexadecimal digits of SHA-256 over its config.json, the names, formats and shapes of its tensors, and
 * 1 MB of each file with weights. Two fine-tunes of a model differ in nearly every byte, so they differ here; a change of a few
 * bytes between the samples is missed, which is the price of not reading gigabytes.
 *
 * @throws {LoadError} when a file cannot be read.
 */
export async function modelHash({ config, checkpoint }: Pick<ModelFiles, 'config' | 'checkpoint'>): Promise<string> {
  const { tensors } = checkpoint;
  const hash = createHash('sha256');
  hash.update(JSON.stringify(config));
  const files = new Set<string>();
  for (const name of [...tensors.keys()].sort()) {
    const { format, shape, file } = tensors.get(name)!;
    hash.update(`${JSON.stringify([name, format, shape])}\n`);
    files.add(file); // In the order of their tensors: the names of files differ between caches.
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

/** The ranges of a file of `size` bytes that are hashed; a small file is one range. */
export function samplesOf(size: number): { readonly position: number; readonly length: number }[] {
  if (size <= SAMPLE * PLACES) return [{ position: 0, length: size }];
  return Array.from({ length: PLACES }, (_, place) => ({
    position: Math.floor((place * (size - SAMPLE)) / (PLACES - 1)),
    length: SAMPLE,
  }));
}
