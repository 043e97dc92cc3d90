import { mkdir, statfs } from 'node:fs/promises';

import { listFiles, modelInfo } from '@huggingface/hub';

import { quote } from '../load-error.ts';
import type { OnProgress } from '../progress.ts';
import { INDEX_NAME, SINGLE_NAME } from '../safetensors/shards.ts';
import { downloadBlob, type HubFile } from './blob.ts';
import { CachedModel, isCommit, isFile } from './cache.ts';
import { HubClient } from './client.ts';
import { HubError, HubUnreachableError } from './error.ts';
import { type HubSettings, readSettings } from './settings.ts';

export interface DownloadOptions {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Where HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and their kin are read. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Bytes of all files of the model together; the label is the file that is coming. */
  readonly onProgress?: OnProgress;
  /** Stops at once; what has come is kept, and the next call goes on from there. */
  readonly signal?: AbortSignal;
}

const PROGRESS_MS = 100;
const DESCRIPTION =
  /^((config|generation_config|special_tokens_map|tokenizer[^/]*)\.json|(chat_template|additional_chat_templates\/[^/]+)\.jinja)$/;
const WEIGHTS = /^[^/]+\.safetensors(\.index\.json)?$/;
const SHARD = /^model-\d+-of-\d+\.safetensors$/;

/**
 * Brings a model of the Hugging Face hub (config, tokenizer, safetensors) into the cache that all Hugging Face libraries
 * share, and returns the folder of its snapshot. What the cache has is not fetched again. Where the hub gives no answer,
 * or HF_HUB_OFFLINE is set, a complete snapshot in the cache will do.
 * @param repo - `org/name`
 * @throws HubUnreachableError when the hub gives no answer (within seconds where it is refused or cannot be found);
 * HubError otherwise; the signal's reason when aborted.
 */
export async function downloadModel(
  repo: string,
  { revision = 'main', env = process.env, onProgress, signal }: DownloadOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  if (!/^[\w.-]+(\/[\w.-]+)?$/.test(repo) || !isSafePath(repo) || repo.includes('--')) {
    throw new HubError(`${quote(repo)}: expected the name of a model on the hub, org/name.`);
  }
  if (!isSafePath(revision)) throw new HubError(`${quote(revision)}: expected a branch, a tag or a commit.`);

  const settings = await readSettings(env);
  const cached = new CachedModel(settings.cache, repo);
  if (settings.offline) return fromCache(cached, repo, revision);
  try {
    return await fromHub(settings, cached, repo, revision, onProgress, signal);
  } catch (error) {
    signal?.throwIfAborted();
    const message = `${repo} (${revision}): ${(error as Error).message}`;
    if (error instanceof HubUnreachableError) throw new HubUnreachableError(message, { cause: error });
    throw new HubError(message, { cause: error });
  }
}

async function fromCache(cached: CachedModel, repo: string, revision: string): Promise<string> {
  const commit = await cached.readRef(revision);
  const missing = commit === undefined ? undefined : await cached.missing(commit);
  if (commit !== undefined && missing?.length === 0) return cached.snapshot(commit);
  throw new HubError(
    `${repo} (${revision}): HF_HUB_OFFLINE is set, and the cache ${cached.folder} lacks ` +
      `${missing === undefined ? 'this revision' : missing.map(quote).join(', ')}. Unset HF_HUB_OFFLINE to download it.`,
  );
}

async function fromHub(
  settings: HubSettings,
  cached: CachedModel,
  repo: string,
  revision: string,
  onProgress: OnProgress | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const client = new HubClient(settings, signal);
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
    const absent: HubFile[] = [];
    for (const file of files) {
      if (!(await cached.has(commit, file.name, file.size))) absent.push(file);
    }
    const toFetch: HubFile[] = [];
    for (const file of absent) {
      if (!(await isFile(cached.blob(file.hash), file.size))) toFetch.push(file);
    }
    await refuseFullDisk(settings.cache, sumOf(toFetch));

    let loaded = total - sumOf(toFetch);
    let reported = 0;
    for (const file of toFetch) {
      const url = `${client.endpoint}/${repo}/resolve/${commit}/${file.name.split('/').map(encodeURIComponent).join('/')}`;
      const onBytes = (bytes: number): void => {
        if (Date.now() - reported < PROGRESS_MS) return;
        reported = Date.now();
        onProgress?.({ label: file.name, loaded: loaded + bytes, total });
      };
      await downloadBlob(client, url, file, cached.blob(file.hash), onBytes, signal);
      loaded += file.size;
    }
    // Only now, and config.json last: a snapshot that has it is whole.
    for (const file of absent) await cached.link(commit, file.name, file.hash);
    if (revision !== commit) await cached.writeRef(revision, commit);
    onProgress?.({ label: repo, loaded: total, total });
    return cached.snapshot(commit);
  } finally {
    await client.close();
  }
}

/** The commit that a revision is now, and the files of it that make the model, config.json last. */
async function describe(
  client: HubClient,
  repo: string,
  revision: string,
): Promise<{ commit: string; files: HubFile[] }> {
  // The client adds the token itself: the library would take no token that does not begin with hf_, and would send it
  // wherever a Link header points.
  const transport = { hubUrl: client.endpoint, fetch: (url: string | URL | Request) => client.getWhole(url as string) };
  const { sha: commit } = await modelInfo({ name: repo, revision, additionalFields: ['sha'], ...transport });
  if (!isCommit(commit)) throw new HubError(`expected the hash of a commit, got ${quote(commit)}.`);

  const listed = new Map<string, HubFile>();
  const others: string[] = [];
  for await (const { type, path, size, oid, lfs } of listFiles({
    repo,
    revision: commit,
    recursive: true,
    ...transport,
  })) {
    if (type !== 'file') continue;
    const isSafe = isSafePath(path);
    if (!isWanted(isSafe ? path : path.split(/[/\\:]/).at(-1)!)) {
      others.push(path);
      continue;
    }
    if (!isSafe) throw new HubError(`the hub lists ${quote(path)}, a name that could lead out of the model's folder.`);
    const hash = lfs?.oid ?? oid ?? '';
    if (!Number.isSafeInteger(size) || size < 0 || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) {
      throw new HubError(`the hub lists ${quote(path)} with size ${size} and hash ${quote(hash)}. Check HF_ENDPOINT.`);
    }
    listed.set(path, { name: path, size, hash });
  }
  return { commit, files: choose(listed, others) };
}

const isWanted = (path: string): boolean => DESCRIPTION.test(path) || WEIGHTS.test(path);

/** Of a repository's files those that make the model; some hold the same weights twice, in one more layout. */
function choose(listed: ReadonlyMap<string, HubFile>, others: readonly string[]): HubFile[] {
  const names = [...listed.keys()];
  const inShards = names.filter((name) => SHARD.test(name));
  const isShard = (name: string): boolean => (inShards.length > 0 ? SHARD.test(name) : name.endsWith('.safetensors'));
  let weights: string[];
  if (listed.has(SINGLE_NAME)) weights = [SINGLE_NAME];
  else if (listed.has(INDEX_NAME)) weights = [...names.filter(isShard), INDEX_NAME];
  else throw new HubError(withoutWeights([...names.filter((name) => WEIGHTS.test(name)), ...others]));
  if (!listed.has('config.json')) throw new HubError('the repository has no config.json, so it is no whole model.');

  const descriptions = names.filter((name) => DESCRIPTION.test(name) && name !== 'config.json');
  return [...weights, ...descriptions, 'config.json'].map((name) => listed.get(name)!);
}

function withoutWeights(names: readonly string[]): string {
  const problem = `the repository has neither ${SINGLE_NAME} nor ${INDEX_NAME}`;
  const some = (found: readonly string[]): string =>
    found.slice(0, 5).map(quote).join(', ') + (found.length > 5 ? ` and ${found.length - 5} more` : '');
  const gguf = names.filter((name) => name.endsWith('.gguf'));
  if (gguf.length > 0) return `${problem}, only GGUF: ${some(gguf)}. Download one of them and load it by its path.`;
  const pickles = names.filter((name) => /\.(bin|pt|pth|pkl|ckpt)$/.test(name));
  if (pickles.length > 0) {
    return (
      `${problem}, only pickles, which can run any code when they are opened: ${some(pickles)}. Look for a repository ` +
      "with safetensors, or convert it with transformers' save_pretrained."
    );
  }
  return `${problem}; it has ${names.length === 0 ? 'no files' : some(names)}. Check the name.`;
}

/** Leads nowhere but down from the folder that it is joined to, under the rules of any system. */
function isSafePath(path: string): boolean {
  return !/[\p{Cc}\\:]/u.test(path) && path.split('/').every((part) => !['', '.', '..'].includes(part));
}

const sumOf = (files: readonly HubFile[]): number => files.reduce((sum, { size }) => sum + size, 0);

async function refuseFullDisk(folder: string, bytes: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { bavail, bsize } = await statfs(folder);
  // Some network file systems state no free space at all.
  if (bavail === 0 || bytes <= bavail * bsize) return;
  throw new HubError(
    `needs ${bytes} bytes in ${folder}, which has ${bavail * bsize} left. Make room, or set HF_HUB_CACHE to another disk.`,
  );
}
