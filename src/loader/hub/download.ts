import { mkdir, statfs } from 'node:fs/promises';

import { formatBytes } from '../../format-bytes.ts';
import { quote } from '../../quote.ts';
import type { OnProgress } from '../progress.ts';
import { isFile } from '../files/is-file.ts';
import { bytesLeftOf, downloadBlob, hasRightHash } from './blob.ts';
import { CachedModel } from './hub-cache.ts';
import { HubClient } from './client.ts';
import { HubError, HubUnreachableError } from './hub-error.ts';
import type { HubFile } from './hub-file.ts';
import { describe, isSafePath } from './listing.ts';
import { type HubSettings, readSettings } from './settings.ts';

/** How to download a model from the hub. */
export interface DownloadOptions {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string | undefined;
  /**
   * Hash the files in the cache as well, and download those again whose hashes are wrong. Default false: files are hashed once,
   * when downloaded.
   */
  readonly verify?: boolean | undefined;
  /** The environment with HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and so on. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Bytes of all files of the model; the label is the file that is downloaded, or the reason of another attempt. */
  readonly onProgress?: OnProgress | undefined;
  /** Stops at once. The bytes received are kept, and the next call continues from them. */
  readonly signal?: AbortSignal | undefined;
}

const PROGRESS_MS = 100;
const FULL = ['ENOSPC', 'EDQUOT'];
const NOT_WRITABLE = ['EROFS', 'EACCES', 'EPERM'];

/**
 * Downloads a model of the Hugging Face hub (config, tokenizer, safetensors) into the cache that all Hugging Face libraries
 * share, and returns the folder of its snapshot. Files in the cache are not downloaded again, and nothing is written where the
 * snapshot is complete. Where the hub does not answer, or HF_HUB_OFFLINE is set, a complete snapshot in the cache is returned.
 * @param repo `org/name`
 * @throws {HubUnreachableError} when the hub does not answer (within seconds where its name or port is wrong) and the cache has
 *   no complete snapshot
 * @throws {HubError} for all other failures; the signal's reason when it is aborted
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

/** The advice for an error of the file system, whose message names the path; '' for other errors. */
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
      // Only where the commit is unknown. A failed download of a known, newer commit stays an error.
      const known = cause instanceof HubUnreachableError ? await cached.readRef(revision) : undefined;
      if (known !== undefined && (await cached.missing(known)).length === 0) return cached.snapshot(known);
      if (cause instanceof HubError) throw cause;
      const advice = 'Check HF_ENDPOINT, and whether the network asks for a login.';
      throw new HubError(`expected an answer of a hub, got another one (${(cause as Error).message}). ${advice}`, {
        cause,
      });
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
    // Links come last, and config.json last of them, so that a snapshot with config.json is complete.
    for (const file of absent) await cached.link(commit, file.name, file.hash);
    if (revision !== commit) await writeRef(cached, revision, commit);
    await cached.clearLeftovers();
    onProgress?.({ label: repo, loaded: total, total });
    return cached.snapshot(commit);
  } finally {
    await client.close();
  }
}

/** The hashes of the files whose blobs are in the cache with other contents. */
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
    if ((await isFile(path)) && !(await hasRightHash(path, file, report, signal))) wrong.add(file.hash);
    loaded += file.size;
  }
  return wrong;
}

/** Stores the commit of a revision. A cache that cannot be written is no error: only HF_HUB_OFFLINE needs the entry. */
async function writeRef(cached: CachedModel, revision: string, commit: string): Promise<void> {
  if ((await cached.readRef(revision)) === commit) return;
  await cached.writeRef(revision, commit).catch((error: unknown) => {
    if (![...NOT_WRITABLE, ...FULL].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  });
}

const sumOf = (files: readonly HubFile[]): number => files.reduce((sum, { size }) => sum + size, 0);

async function refuseFullDisk(folder: string, bytes: number): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    // On a read-only disk, Node's message says that the parent is missing.
    throw new HubError(
      `${folder} cannot be made (${(cause as Error).message}). Set HF_HUB_CACHE to a folder that can be written.`,
      { cause },
    );
  });
  const { bavail, bsize } = await statfs(folder);
  // Some network file systems always state 0 free bytes.
  if (bavail === 0 || bytes <= bavail * bsize) return;
  throw new HubError(
    `expected ${bytes} bytes (${formatBytes(bytes)}) free in ${folder}, got ${bavail * bsize}. ` +
      'Make room, or set HF_HUB_CACHE to another disk.',
  );
}
