import { listFiles, type ListFileEntry, modelInfo } from '@huggingface/hub';

import { quote } from '../../quote.ts';
import { INDEX_NAME, SINGLE_NAME } from '../safetensors/shards.ts';
import type { HubClient } from './client.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, isCommit } from './hub-file.ts';

/** The largest number of pages, of up to 1,000 entries each; the repository of one model has a page or two. */
const MAX_PAGES = 100;
const LISTING_MS = 120_000;
/** The largest number of files; the largest published models have some 200. */
const MAX_FILES = 2_000;
/** The longest part of a path, which is the limit of most file systems, and the longest path. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 1_000;

const DESCRIPTION =
  /^((config|generation_config|special_tokens_map|tokenizer[^/]*)\.json|(chat_template|additional_chat_templates\/[^/]+)\.jinja)$/;
const WEIGHTS = /^[^/]+\.safetensors(\.index\.json)?$/;
const SHARD = /^model-\d+-of-\d+\.safetensors$/;
const isWanted = (path: string): boolean => DESCRIPTION.test(path) || WEIGHTS.test(path);

/**
 * The current commit of a revision, and those of its files that belong to the model, config.json last.
 * @throws {HubError} when the listing is malformed or endless, or has names that could lead out of the model's folder
 */
export async function describe(
  client: HubClient,
  repo: string,
  revision: string,
): Promise<{ commit: string; files: HubFile[] }> {
  const transport = { hubUrl: client.endpoint, fetch: pageReader(client) };
  // The library does not check the types of the answer.
  const { sha: commit } = (await modelInfo({ name: repo, revision, additionalFields: ['sha'], ...transport })) as {
    sha?: unknown;
  };
  if (typeof commit !== 'string' || !isCommit(commit))
    throw new HubError(`expected the hash of a commit, got ${quote(String(commit))}.`);

  const wanted = new Map<string, HubFile>();
  const others: string[] = [];
  for await (const entry of listFiles({ repo, revision: commit, recursive: true, ...transport })) {
    if (entry.type !== 'file') continue;
    const { path } = entry;
    if (typeof path !== 'string') throw new HubError(`the hub lists a file without a name. Check HF_ENDPOINT.`);
    const isSafe = isSafePath(path);
    if (!isWanted(isSafe ? path : path.split(/[/\\:]/).at(-1)!)) {
      if (others.length < MAX_FILES) others.push(path);
      continue;
    }
    if (!isSafe) throw new HubError(`the hub lists ${quote(path)}, a name that could lead out of the model's folder.`);
    add(wanted, checked(entry));
  }
  return { commit, files: choose(wanted, others) };
}

/**
 * A `fetch` that the library calls for each page. The client adds the token: the library would refuse a token that does not
 * begin with hf_, and would send it to any address in a Link header.
 */
function pageReader(client: HubClient): typeof fetch {
  const seen = new Set<string>();
  const start = performance.now();
  const read = (address: string): ReturnType<HubClient['getText']> => {
    if (new URL(address).origin !== new URL(client.endpoint).origin)
      throw new HubError(`the listing continues at another host, ${quote(address)}. Check HF_ENDPOINT.`);
    if (seen.has(address))
      throw new HubError(`the listing leads back to an earlier page, ${quote(address)}. Check HF_ENDPOINT.`);
    seen.add(address);
    if (seen.size > MAX_PAGES) throw new HubError(`expected a listing of at most ${MAX_PAGES} pages, got more.`);
    if (performance.now() - start > LISTING_MS)
      throw new HubError(`expected a listing within ${LISTING_MS / 1000} s, and it took longer. Try again later.`);
    return client.getText(address);
  };
  return read as unknown as typeof fetch;
}

function checked({ path, size, oid, lfs }: ListFileEntry): HubFile {
  const hash: unknown = lfs?.oid ?? oid;
  if (
    !Number.isSafeInteger(size) ||
    size < 0 ||
    typeof hash !== 'string' ||
    !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)
  ) {
    throw new HubError(
      `the hub lists ${quote(path)} with size ${quote(String(size))} and hash ${quote(String(hash))}. Check HF_ENDPOINT.`,
    );
  }
  const longest = Math.max(...path.split('/').map((part) => Buffer.byteLength(part)));
  if (longest > MAX_NAME_BYTES || Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new HubError(`the hub lists ${quote(path)}, a name too long for a file.`);
  return { name: path, size, hash };
}

function add(wanted: Map<string, HubFile>, file: HubFile): void {
  // File systems may ignore case, and how letters with accents are encoded.
  const key = file.name.normalize('NFC').toLowerCase();
  const known = wanted.get(key);
  if (known !== undefined && (known.name !== file.name || known.hash !== file.hash || known.size !== file.size))
    throw new HubError(`the hub lists ${quote(known.name)} and ${quote(file.name)}, two files of one name.`);
  wanted.set(key, file);
  if (wanted.size > MAX_FILES) throw new HubError(`the hub lists more than ${MAX_FILES} files of a model.`);
}

/** The files that belong to the model. A repository may have the same weights in several layouts: one is chosen. */
function choose(wanted: ReadonlyMap<string, HubFile>, others: readonly string[]): HubFile[] {
  const listed = new Map([...wanted.values()].map((file) => [file.name, file]));
  const names = [...listed.keys()];
  const inShards = names.filter((name) => SHARD.test(name));
  const isShard = (name: string): boolean => (inShards.length > 0 ? SHARD.test(name) : name.endsWith('.safetensors'));
  let weights: string[];
  if (listed.has(SINGLE_NAME)) weights = [SINGLE_NAME];
  else if (listed.has(INDEX_NAME)) weights = [...names.filter(isShard), INDEX_NAME];
  else throw new HubError(withoutWeights([...names.filter((name) => WEIGHTS.test(name)), ...others]));
  if (!listed.has('config.json'))
    throw new HubError('the repository has no config.json, so it is not a complete model. Check the name.');

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

/** Whether a relative path, joined to a folder, stays within it on every operating system. */
export function isSafePath(path: string): boolean {
  return !/[\p{Cc}\\:]/u.test(path) && path.split('/').every((part) => !['', '.', '..'].includes(part));
}
