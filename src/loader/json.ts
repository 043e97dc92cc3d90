import { InputFile } from './input-file.ts';
import { LoadError } from './load-error.ts';
import { isObject } from '../json.ts';

/**
 * Reads a file that holds one JSON object.
 * @param maxBytes - a larger file is refused before it is read: it is not what it is taken for.
 */
export async function readJsonFile(path: string, maxBytes: number): Promise<Readonly<Record<string, unknown>>> {
  const file = await InputFile.open(path);
  try {
    if (file.size > maxBytes) {
      throw new LoadError(
        `${path}: expected at most ${maxBytes} bytes, got ${file.size}. Check that it is the right file.`,
      );
    }
    const bytes = new Uint8Array(file.size);
    await file.read(bytes, 0);
    return parseObject(path, bytes);
  } finally {
    await file.close();
  }
}

function parseObject(path: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new LoadError(`${path}: expected JSON in UTF-8: ${(cause as Error).message}. Correct it or fetch it again.`, {
      cause,
    });
  }
  if (!isObject(value)) throw new LoadError(`${path}: expected a JSON object { ... }. Correct it or fetch it again.`);
  return value;
}
