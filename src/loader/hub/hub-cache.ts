import { copyFile, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { isAbandoned, ownerName } from '../../platform/owner.ts';

import { isFile } from '../files/is-file.ts';
import { ModelFolder } from '../files/model-folder.ts';
import { INDEX_NAME, readWeightMap, SINGLE_NAME } from '../safetensors/shards.ts';
import { type HubFile, isCommit } from './hub-file.ts';
import { FREE, parsePartial } from './partial-download.ts';

/** The prefix of the names of temporary files. */
const TEMPORARY = '.vitrine-';

const NO_SYMLINKS = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'];

/**
 * A model in the cache, in the layout that all Hugging Face libraries share: `blobs/HASH` are the contents of files,
 * `snapshots/COMMIT/NAME` links to them, and `refs/REVISION` the last known commit of a branch or tag.
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
export class CachedModel {
  /** The folder of the model. */
  readonly folder: string;

  /** @param cache The folder of all models. */
  constructor(cache: string, repo: string) {
    this.folder = join(cache, `models--${repo.replaceAll('/', '--')}`);
  }

  /** The path of a file's contents. */
  blob(hash: string): string {
    return join(this.folder, 'blobs', hash);
  }

  /** The folder of a commit. */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /**
   * Whether the snapshot has the file: a link to its blob, or a copy, of the right size. Its hash was checked when it was
   * downloaded.
   */
  async has(commit: string, { name, size, hash }: HubFile): Promise<boolean> {
    const path = join(this.snapshot(commit), name);
    const target = await readlink(path).catch(() => hash);
    return basename(target) === hash && (await isFile(path, size));
  }

  /** Links a blob into a snapshot under the file's name, or copies it where links are not supported. */
  async link(commit: string, name: string, hash: string): Promise<void> {
    const path = join(this.snapshot(commit), name);
    await this.#replace(path, async (temporary) => {
      await symlink(relative(dirname(path), this.blob(hash)), temporary).catch(async (error: unknown) => {
        if (!NO_SYMLINKS.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
        await copyFile(this.blob(hash), temporary);
      });
    });
  }

  /** Stores the commit of a branch or tag. */
  async writeRef(revision: string, commit: string): Promise<void> {
    await this.#replace(join(this.folder, 'refs', revision), (temporary) => writeFile(temporary, commit));
  }

  /** The last known commit of a revision, which may be a commit itself; undefined where there is none. */
  async readRef(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  /** The names of the files that the snapshot lacks: config.json, and the weights in one file or as the index lists them. */
  async missing(commit: string): Promise<string[]> {
    const folder = this.snapshot(commit);
    const names = new Set<string>();
    for (const name of await readdir(folder).catch(() => [])) {
      if (await isFile(join(folder, name))) names.add(name);
    }
    const needed = ['config.json'];
    if (!names.has(INDEX_NAME)) needed.push(SINGLE_NAME);
    else if (!names.has(SINGLE_NAME)) {
      needed.push(...new Set((await readWeightMap(new ModelFolder(folder))).values()));
    }
    return needed.filter((name) => !names.has(name));
  }

  /** Removes the temporary files of processes that no longer run, and the partial downloads that may be continued. */
  async clearLeftovers(): Promise<void> {
    for (const folder of [this.folder, join(this.folder, 'blobs')]) {
      for (const name of await readdir(folder).catch(() => [])) {
        if (isLeftover(name)) await rm(join(folder, name), { force: true }).catch(() => undefined);
      }
    }
  }

  /** Makes `path` under a temporary name and renames it: other processes may read it, or make it as well. */
  async #replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const temporary = join(this.folder, TEMPORARY + ownerName());
    try {
      await make(temporary);
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  }
}

function isLeftover(name: string): boolean {
  if (name.startsWith(TEMPORARY)) return isAbandoned(name.slice(TEMPORARY.length));
  const partial = parsePartial(name);
  return partial !== undefined && (partial.owner === FREE || isAbandoned(partial.owner));
}
