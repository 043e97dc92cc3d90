import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';

import { LoadError } from '../load-error.ts';

/** Bytes per call of `read`: Node aborts the process at 2^31, and an aborted signal takes effect after this many at most. */
const CHUNK = 64 * 2 ** 20;

/** A regular file that is read by position, in parts. */
export class InputFile {
  readonly path: string;
  /** Bytes when the file was opened. */
  readonly size: number;
  readonly #handle: FileHandle;
  /** Its state when it was opened. */
  readonly #opened: BigIntStats;

  private constructor(path: string, opened: BigIntStats, handle: FileHandle) {
    this.path = path;
    this.size = Number(opened.size);
    this.#opened = opened;
    this.#handle = handle;
  }

  /**
   * @param path The path in messages, and the file to open unless `real` is given.
   * @param real The path that the links of `path` resolve to, which is opened and must not be a link.
   * @throws {LoadError} when there is no such file, or it is a folder, a pipe or a device
   */
  static async open(path: string, real?: string): Promise<InputFile> {
    let handle: FileHandle;
    try {
      // Without O_NONBLOCK, opening a pipe would wait for a writer.
      const flags = constants.O_RDONLY | constants.O_NONBLOCK | (real === undefined ? 0 : constants.O_NOFOLLOW);
      handle = await open(real ?? path, flags);
    } catch (cause) {
      throw new LoadError(`open ${path}: ${(cause as Error).message}`, { cause });
    }
    const opened = await handle.stat({ bigint: true });
    if (!opened.isFile()) {
      await handle.close();
      throw new LoadError(
        `open ${path}: expected a regular file, got a ${opened.isDirectory() ? 'folder' : 'pipe or device'}.`,
      );
    }
    return new InputFile(path, opened, handle);
  }

  /** Whether this is the file that `path` now names. */
  async is(path: string): Promise<boolean> {
    const { dev, ino } = await stat(path, { bigint: true }).catch(() => ({ dev: undefined, ino: undefined }));
    return dev === this.#opened.dev && ino === this.#opened.ino;
  }

  /**
   * Fills `target`, which may be a view of shared memory, with the bytes from `position` on.
   * @throws {LoadError} when the file ends too early, or was written to since it was opened; the signal's reason when it is
   *   aborted, after one part of 64 MiB at most
   */
  async read(target: Uint8Array, position: number, signal?: AbortSignal): Promise<void> {
    for (let done = 0; done < target.length;) {
      signal?.throwIfAborted();
      const { bytesRead } = await this.#handle.read(
        target,
        done,
        Math.min(CHUNK, target.length - done),
        position + done,
      );
      if (bytesRead === 0) {
        throw new LoadError(
          `read ${this.path}: expected ${target.length} bytes at ${position}, got ${done}: ` +
            `the file became shorter than the ${this.size} bytes it had when it was opened. ` +
            'Load it again when no program writes to it.',
        );
      }
      done += bytesRead;
    }
    await this.#refuseChanged();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /**
   * Throws if the file was written to. A file that was renamed, linked to or removed has its contents: only its `ctime`
   * differs.
   */
  async #refuseChanged(): Promise<void> {
    const now = await this.#handle.stat({ bigint: true });
    const opened = this.#opened;
    const sameRights = (['nlink', 'mode', 'uid', 'gid'] as const).every((field) => now[field] === opened[field]);
    const written = sameRights && now.ctimeNs !== opened.ctimeNs;
    if (now.size === opened.size && now.mtimeNs === opened.mtimeNs && !written) return;
    const time = (ns: bigint): string => new Date(Number(ns / 1_000_000n)).toISOString();
    throw new LoadError(
      `read ${this.path}: expected the file as it was when it was opened (${opened.size} bytes, changed ${time(opened.ctimeNs)}), ` +
        `got ${now.size} bytes, changed ${time(now.ctimeNs)}: something wrote to it. Load it again when no program writes to it.`,
    );
  }
}
