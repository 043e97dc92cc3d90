import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import { LoadError } from './load-error.ts';

/** Bytes asked for in one call: Node aborts the process at 2^31, and a cancelled read ends after at most this many. */
const CHUNK = 64 * 2 ** 20;

/** A regular file that is read by position, in parts, and never as a whole. */
export class InputFile {
  readonly path: string;
  /** Bytes, when it was opened. */
  readonly size: number;
  private readonly handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.handle = handle;
  }

  /** @throws LoadError when there is no such file, or it is a folder, a pipe or a device. */
  static async open(path: string): Promise<InputFile> {
    let handle: FileHandle;
    try {
      // Without O_NONBLOCK the opening of a pipe would wait for a writer for ever.
      handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      throw new LoadError(`open ${path}: ${(cause as Error).message}`, { cause });
    }
    const stat = await handle.stat();
    if (!stat.isFile()) {
      await handle.close();
      throw new LoadError(
        `open ${path}: expected a regular file, got a ${stat.isDirectory() ? 'folder' : 'pipe or device'}.`,
      );
    }
    return new InputFile(path, stat.size, handle);
  }

  /**
   * Fills `target` (which may lie in shared memory) with the bytes from `position` on.
   * @throws LoadError when the file ends before; the signal's reason when it is aborted, within one part of 64 MiB.
   */
  async read(target: Uint8Array, position: number, signal?: AbortSignal): Promise<void> {
    for (let done = 0; done < target.length;) {
      signal?.throwIfAborted();
      const { bytesRead } = await this.handle.read(
        target,
        done,
        Math.min(CHUNK, target.length - done),
        position + done,
      );
      if (bytesRead === 0) {
        throw new LoadError(
          `read ${this.path}: expected ${target.length} bytes at ${position}, got ${done}: ` +
            `the file became shorter than the ${this.size} bytes it had when it was opened. Load it again when nothing writes to it.`,
        );
      }
      done += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
