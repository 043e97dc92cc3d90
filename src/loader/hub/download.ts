import { mkdir, statfs } from 'node:fs/promises';

import { formatBytes } from '../../format-bytes.ts';
import { quote } from '../../quote.ts';
import type { OnProgress } from '../progress.ts';
import { bytesLeftOf, downloadBlob, type HubFile, isRight } from './blob.ts';
import { CachedModel, isFile } from './hub-cache.ts';
import { HubClient } from './client.ts';
import { HubError, HubUnreachableError } from './hub-error.ts';
import { describe, isSafePath } from './listing.ts';
import { type HubSettings, readSettings } from './settings.ts';

export interface DownloadOptions {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string | undefined;
  /** Hash what the cache has, too, and fetch again what is not as the hub says. Default false: it was hashed as it came. */
  readonly verify?: boolean | undefined;
  /** Where HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and their kin are read. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Bytes of all files of the model together; the label is the file that is coming, or why it is tried again. */
  readonly onProgress?: OnProgress | undefined;
  /** Stops at once; what has come is kept, and the next call goes on from there. */
  readonly signal?: AbortSignal | undefined;
}

const PROGRESS_MS = 100;
const FULL = ['ENOSPC', 'EDQUOT'];
const NOT_WRITABLE = ['EROFS', 'EACCES', 'EPERM'];

/**
 * Brings a model of the Hugging Face hub (config, tokenizer, safetensors) into the cache that all Hugging Face libraries
 * share, and returns the folder of its snapshot. What the cache has is not fetched again, and nothing is written where it
 * has all. Where the hub gives no answer, or HF_HUB_OFFLINE is set, a complete snapshot in the cache will do.
 * @param repo - `org/name`
 * @throws HubUnreachableError when the hub gives no answer (within seconds where it is refused or cannot be found) and the
 * cache has no complete snapshot; HubError otherwise; the signal's reason when aborted.
 */
export async function downloadModel(repo: string, options: DownloadOptions = {}): Promise<string> {
  const { revision = 'main', env = process.env, signal } = options;
  signal?.throwIfAborted();
  if (!/^[\w.-]+(\/[\w.-]+)?$/.test(repo) || !isSafePath(repo) || repo.includes('--')) {
    throw new HubError(`${quote(repo)}: expected the name of a model on the hub, org/name.`);
  }
  if (!isSafePath(revision)) throw new HubError(`${quote(revision)}: expected a branch, a tag or a commit.`);

  const settings = await readSettings(env);
  const cached = new CachedModel(settings.cache, repo);
  if (settings.offline) return fromCache(cached, repo, revision);
  try {
    return await fromHub(settings, cached, repo, revision, options);
  } catch (error) {
    signal?.throwIfAborted();
    const message = `${repo} (${revision}): ${(error as Error).message}${adviceFor(error)}`;
    if (error instanceof HubUnreachableError) throw new HubUnreachableError(message, { cause: error });
    throw new HubError(message, { cause: error });
  }
}

/** What to do where the system refuses to write; its own message names the path. */
function adviceFor(error: unknown): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (FULL.includes(code)) return '. Make room, or set HF_HUB_CACHE to a folder on another disk.';
  if (NOT_WRITABLE.includes(code)) return '. Set HF_HUB_CACHE to a folder that can be written.';
  return '';
}

async function fromCache(cached: CachedModel, repo: string, revision: string): Promise<string> {
  const commit = await cached.readRef(revision);
  const missing = commit === undefined ? undefined : await cached.missing(commit);
  if (commit !== undefined && missing?.length === 0) return cached.snapshot(commit);
  throw new HubUnreachableError(
    `${repo} (${revision}): HF_HUB_OFFLINE is set, and the cache ${cached.folder} lacks ` +
      `${missing === undefined ? 'this revision' : missing.map(quote).join(', ')}. Unset HF_HUB_OFFLINE to download it.`,
  );
}

async function fromHub(
  settings: HubSettings,
  cached: CachedModel,
  repo: string,
  revision: string,
  { verify = false, onProgress, signal }: DownloadOptions,
): Promise<string> {
  let last: { loaded: number; total?: number } = { loaded: 0 };
  const onRetry = (label: string): void => onProgress?.({ label, ...last });
  const client = new HubClient(settings, { signal, onRetry });
  try {
    const description = await describe(client, repo, revision).catch(async (cause: unknown) => {
      // Only where the hub does not say what the revision is: a newer one that breaks off is not passed over in silence.
      const known = cause instanceof HubUnreachableError ? await cached.readRef(revision) : undefined;
      if (known !== undefined && (await cached.missing(known)).length === 0) return cached.snapshot(known);
      if (cause instanceof HubError) throw cause;
      const advice = 'Check HF_ENDPOINT, and whether the network wants you to log in first.';
      throw new HubError(`the answer is not that of a hub (${(cause as Error).message}). ${advice}`, { cause });
    });
    if (typeof description === 'string') return description;
    const { commit, files } = description;
    const total = sumOf(files);
    const bad = verify ? await wrongBlobs(cached, files, onProgress, signal) : new Set<string>();
    const absent: HubFile[] = [];
    for (const file of files) {
      if (bad.has(file.hash) || !(await cached.has(commit, file))) absent.push(file);
    }
    const toFetch: HubFile[] = [];
    for (const file of absent) {
      if (bad.has(file.hash) || !(await isFile(cached.blob(file.hash), file.size))) toFetch.push(file);
    }
    const here = new Map<HubFile, number>();
    for (const file of toFetch) here.set(file, await bytesLeftOf(cached.blob(file.hash), file.size));
    const loaded = (): number => total - sumOf(toFetch) + [...here.values()].reduce((sum, bytes) => sum + bytes, 0);
    if (toFetch.length > 0) await refuseFullDisk(settings.cache, total - loaded());

    let reported = 0;
    for (const file of toFetch) {
      const url = `${client.endpoint}/${repo}/resolve/${commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;
      const onBytes = (bytes: number): void => {
        here.set(file, bytes);
        last = { loaded: loaded(), total };
        if (Date.now() - reported < PROGRESS_MS) return;
        reported = Date.now();
        onProgress?.({ label: file.name, loaded: last.loaded, total });
      };
      await downloadBlob(client, url, file, cached.blob(file.hash), onBytes, signal);
      here.set(file, file.size);
    }
    // Only now, and config.json last: a snapshot that has it is whole.
    for (const file of absent) await cached.link(commit, file.name, file.hash);
    if (revision !== commit) await remember(cached, revision, commit);
    await cached.clearLeftovers();
    onProgress?.({ label: repo, loaded: total, total });
    return cached.snapshot(commit);
  } finally {
    await client.close();
  }
}

/** Hashes of the files whose blobs are there and are not what their names say. */
async function wrongBlobs(
  cached: CachedModel,
  files: readonly HubFile[],
  onProgress: OnProgress | undefined,
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  const wrong = new Set<string>();
  let loaded = 0;
  for (const file of files) {
    const path = cached.blob(file.hash);
    const report = (bytes: number): void =>
      onProgress?.({ label: 'Verifying', loaded: loaded + bytes, total: sumOf(files) });
    if ((await isFile(path)) && !(await isRight(path, file, report, signal))) wrong.add(file.hash);
    loaded += file.size;
  }
  return wrong;
}

/** A cache that cannot be written and has the snapshot serves as it is; only HF_HUB_OFFLINE will miss the newer commit. */
async function remember(cached: CachedModel, revision: string, commit: string): Promise<void> {
  if ((await cached.readRef(revision)) === commit) return;
  await cached.writeRef(revision, commit).catch((error: unknown) => {
    if (![...NOT_WRITABLE, ...FULL].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  });
}

const sumOf = (files: readonly HubFile[]): number => files.reduce((sum, { size }) => sum + size, 0);

async function refuseFullDisk(folder: string, bytes: number): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    // On a disk that is read-only, Node says that the parent is missing.
    throw new HubError(
      `${folder} cannot be made (${(cause as Error).message}). Set HF_HUB_CACHE to a folder that can be written.`,
      { cause },
    );
  });
  const { bavail, bsize } = await statfs(folder);
  // Some network file systems state no free space at all.
  if (bavail === 0 || bytes <= bavail * bsize) return;
  throw new HubError(
    `needs ${bytes} bytes (${formatBytes(bytes)}) in ${folder}, which has ${bavail * bsize} left. ` +
      'Make room, or set HF_HUB_CACHE to another disk.',
  );
}
