import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';

import { isObject, type Json, parseJson } from '../json.ts';
import { InputFile } from './input-file.ts';
import { LoadError } from './load-error.ts';
import { quote } from '../quote.ts';

/** How links in a folder are taken. */
export interface LinkOptions {
  /** Follows links that lead out of the model's folder, with a note for each. Default false: they are refused. */
  readonly allowLinks?: boolean | undefined;
}

/**
 * A model's folder, whose files are untrusted. Links may lead to files of the same folder or, as the Hugging Face cache
 * lays them out (`models--org--name/snapshots/COMMIT/file`), to the `blobs/` of the same repository; elsewhere only where
 * that is allowed.
 */
export class ModelFolder {
  readonly path: string;
  /** The links that led elsewhere, a line each. */
  readonly notes: string[] = [];
  readonly #allowLinks: boolean;

  constructor(path: string, { allowLinks = false }: LinkOptions = {}) {
    this.path = path;
    this.#allowLinks = allowLinks;
  }

  /** @throws LoadError for a link that leads elsewhere, or when there is no such regular file. */
  async open(name: string): Promise<InputFile> {
    const path = join(this.path, name);
    const real = await this.#resolve(path);
    // What was looked at may be another file by now, so what was opened is looked at as well.
    const file = await InputFile.open(path, real);
    try {
      if (!(await file.is(real)) || (await this.#resolve(path)) !== real)
        throw new LoadError(
          `open ${path}: it was replaced while it was opened. Load it again when nothing writes to it.`,
        );
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * The bytes of a file.
   * @param maxBytes A larger file is refused before it is read: it is not what it is taken for.
   * @throws LoadError as `open`.
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

  /** The same; undefined where there is no file of this name. */
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

  /** A file that holds one JSON object. */
  async readJson(name: string, maxBytes: number): Promise<Json> {
    const path = join(this.path, name);
    const bytes = await this.read(name, maxBytes);
    let value: unknown;
    try {
      value = parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch (cause) {
      const problem = cause instanceof TypeError ? 'bytes that are no UTF-8' : (cause as Error).message;
      throw new LoadError(`${path}: expected JSON in UTF-8: ${problem}. Correct it or fetch it again.`, { cause });
    }
    if (!isObject(value)) throw new LoadError(`${path}: expected a JSON object { ... }. Correct it or fetch it again.`);
    return value;
  }

  /** The real path of a file, if links lead where they may. */
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

/** The folder of the repository, for `models--ORG--NAME/snapshots/COMMIT` of the Hugging Face cache; undefined for other folders. */
export function repositoryOfSnapshot(folder: string): string | undefined {
  const snapshots = dirname(folder);
  const repository = dirname(snapshots);
  const inCache = basename(snapshots) === 'snapshots' && basename(repository).startsWith('models--');
  return inCache ? repository : undefined;
}
