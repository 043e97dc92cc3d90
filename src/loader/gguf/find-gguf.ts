import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputFile } from '../files/input-file.ts';
import { PART_NAME } from './gguf-parts.ts';

/** Whether a name ends in `.gguf`, in any case. */
export const isGgufName = (name: string): boolean => /\.gguf$/i.test(name);

/**
 * The GGUF file that a path stands for: the path itself where its name or its first bytes are those of a GGUF file, or the only
 * GGUF model of a folder without config.json. Undefined for other paths.
 */
export async function findGguf(path: string): Promise<string | undefined> {
  if (isGgufName(path) && !(await isFolder(path))) return path;
  const names = await readdir(path).catch(() => undefined);
  if (names === undefined) return (await beginsAsGguf(path)) ? path : undefined;
  if (names.includes('config.json')) return undefined;
  const models = names.filter(isGgufName).filter((name) => Number(PART_NAME.exec(name)?.[2] ?? 1) === 1);
  return models.length === 1 ? join(path, models[0]) : undefined;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (it) => it.isDirectory(),
    () => false,
  );

async function beginsAsGguf(path: string): Promise<boolean> {
  const file = await InputFile.open(path).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const magic = Buffer.alloc(Math.min(4, file.size));
    await file.read(magic, 0);
    return magic.toString('latin1') === 'GGUF';
  } finally {
    await file.close();
  }
}
