import { copyFile, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { isAbandoned, ownerName } from '../../platform/owner.ts';

import { ModelFolder } from '../model-folder.ts';
import { INDEX_NAME, readWeightMap, SINGLE_NAME } from '../safetensors/shards.ts';
import type { HubFile } from './blob.ts';
import { FREE, parsePartial } from './partial-download.ts';

/** What the names of temporary files begin with. */
const TEMPORARY = '.vitrine-';

const NO_SYMLINKS = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'];

/**
 * One model in the cache, in the layout that all Hugging Face libraries share: `blobs/HASH` holds contents,
 * `snapshots/COMMIT/NAME` links to them, `refs/REVISION` holds the commit that a branch or tag was last seen at.
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
export class CachedModel {
  readonly folder: string;

  constructor(cache: string, repo: string) {
    this.folder = join(cache, `models--${repo.replaceAll('/', '--')}`);
  }

  blob(hash: string): string {
    return join(this.folder, 'blobs', hash);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** Whether the snapshot has the file: its blob, or a copy of this size. Contents were verified when they came. */
  async has(commit: string, { name, size, hash }: HubFile): Promise<boolean> {
    const path = join(this.snapshot(commit), name);
    const target = await readlink(path).catch(() => hash);
    return basename(target) === hash && (await isFile(path, size));
  }

  /** Puts a verified blob into a snapshot, under its name. */
  async link(commit: string, name: string, hash: string): Promise<void> {
    const path = join(this.snapshot(commit), name);
    await this.replace(path, async (temporary) => {
      await symlink(relative(dirname(path), this.blob(hash)), temporary).catch(async (error: unknown) => {
        if (!NO_SYMLINKS.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
        await copyFile(this.blob(hash), temporary);
      });
    });
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    await this.replace(join(this.folder, 'refs', revision), (temporary) => writeFile(temporary, commit));
  }

  /** The commit that a revision was last seen at; a commit stands for itself. */
  async readRef(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  /** The files without which the snapshot is no model that can be opened. */
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

  /** Removes what processes that no longer run left behind, and partials that no file of a finished download needs. */
  async clearLeftovers(): Promise<void> {
    for (const folder of [this.folder, join(this.folder, 'blobs')]) {
      for (const name of await readdir(folder).catch(() => [])) {
        if (isLeftover(name)) await rm(join(folder, name), { force: true }).catch(() => undefined);
      }
    }
  }

  /** Makes `path` whole or not at all: other processes may be reading it, or making it as well. */
  private async replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
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

export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);

export async function isFile(path: string, size?: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && found.isFile() && (size === undefined || found.size === size);
}
