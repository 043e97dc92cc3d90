import { readFileSync } from 'node:fs';

/** Reads the text of a file of the operating system; gives undefined where it cannot be read. */
export type ReadSystemFile = (path: string) => string | undefined;

/** @see ReadSystemFile */
export const readSystemFile: ReadSystemFile = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};
