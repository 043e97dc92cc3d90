import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';

import { isObject, type Json, parseJson } from '../../json.ts';
import { InputFile } from './input-file.ts';
import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';

/** How symbolic links in a model folder are handled. */
export interface LinkOptions {
  /** Follow links that lead out of the model's folder, with a note for each. Default false: such a link is an error. */
  readonly allowLinks?: boolean | undefined;
}

/**
 * A model folder, whose files are not trusted. Links may lead to files of the same folder and, in the layout of the Hugging
 * Face cache (`models--org--name/snapshots/COMMIT/file`), to the `blobs/` of the same repository; to other places only with
 * `allowLinks`.
 */
export class ModelFolder {
  readonly path: string;
  /** A line for each link that was followed out of the folder. */
  readonly notes: string[] = [];
  readonly #allowLinks: boolean;

  constructor(path: string, { allowLinks = false }: LinkOptions = {}) {
    this.path = path;
    this.#allowLinks = allowLinks;
  }

  /** Opens a file by its name. @throws {LoadError} when a link leads out of the folder, or there is no such regular file */
  async open(name: string): Promise<InputFile> {
    const path = join(this.path, name);
    const real = await this.#resolve(path);
    // The path may have changed since it was resolved, so the opened file is checked as well.
    const file = await InputFile.open(path, real);
    try {
      if (!(await file.is(real)) || (await this.#resolve(path)) !== real)
        throw new LoadError(
          `open ${path}: it was replaced while it was opened. Load it again when no program writes to it.`,
        );
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * The bytes of a file.
   * @param maxBytes A larger file is refused before it is read.
   * @throws {LoadError} as `open` does, and when the file is larger
   */
  async read(name: string, maxBytes: number): Promise<Uint8Array> {
    const file = await this.open(name);
    try {
      if (file.size > maxBytes) {
        throw new LoadError(
          `${file.path}: expected at most ${maxBytes} bytes, got ${file.size}. Check that it is the right file.`,
        );
      }
      const bytes = new Uint8Array(file.size);
      await file.read(bytes, 0);
      return bytes;
    } finally {
      await file.close();
    }
  }

  /** As `read`; undefined where there is no file of this name. */
  async readIfThere(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const there = await lstat(join(this.path, name)).then(
      () => true,
      (error: unknown) => {
        if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
        throw new LoadError(`open ${join(this.path, name)}: ${(error as Error).message}`, { cause: error });
      },
    );
    return there ? this.read(name, maxBytes) : undefined;
  }

  /** The JSON object that a file holds. @throws {LoadError} as `read` does, and when the file is not a JSON object in UTF-8 */
  async readJson(name: string, maxBytes: number): Promise<Json> {
    const path = join(this.path, name);
    const bytes = await this.read(name, maxBytes);
    let value: unknown;
    try {
      value = parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch (cause) {
      const problem = cause instanceof TypeError ? 'got bytes that are not UTF-8' : (cause as Error).message;
      throw new LoadError(`${path}: expected JSON in UTF-8: ${problem}. Correct it or fetch it again.`, { cause });
    }
    if (!isObject(value)) throw new LoadError(`${path}: expected a JSON object { ... }. Correct it or fetch it again.`);
    return value;
  }

  /** The path that links lead to. @throws {LoadError} when it is a place where they may not lead */
  async #resolve(path: string): Promise<string> {
    let real: string;
    let root: string;
    try {
      [real, root] = await Promise.all([realpath(path), realpath(this.path)]);
    } catch (cause) {
      throw new LoadError(`open ${path}: ${(cause as Error).message}`, { cause });
    }
    if ([root, cacheBlobs(root)].some((place) => place !== undefined && real.startsWith(place + sep))) return real;
    if (!this.#allowLinks) {
      throw new LoadError(
        `${path}: links to ${quote(real)}, outside the model's folder. ` +
          'Copy the file into the folder or, if the link is yours, pass allowLinks (--allow-links).',
      );
    }
    const note = `${basename(path)} is a link to ${quote(real)}.`;
    if (!this.notes.includes(note)) this.notes.push(note);
    return real;
  }
}

function cacheBlobs(root: string): string | undefined {
  const repository = repositoryOfSnapshot(root);
  return repository && join(repository, 'blobs');
}

/**
 * The repository's folder of a snapshot in the Hugging Face cache, `models--ORG--NAME/snapshots/COMMIT`; undefined for other
 * folders.
 */
export function repositoryOfSnapshot(folder: string): string | undefined {
  const snapshots = dirname(folder);
  const repository = dirname(snapshots);
  const inCache = basename(snapshots) === 'snapshots' && basename(repository).startsWith('models--');
  return inCache ? repository : undefined;
}
