import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, realpath, stat, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

import { formatBytes } from '../../format-bytes.ts';
import { convertedModelFolder } from '../default-model.ts';
import { blobHasher, hashFile } from '../files/hash-file.ts';
import { LoadError } from '../load-error.ts';
import { repositoryOfSnapshot } from '../files/model-folder.ts';
import { quote } from '../../quote.ts';
import type { OnProgress } from '../progress.ts';

/** The file with the checksums of a folder's files, as `sha256sum` writes and checks them. */
export const CHECKSUMS_NAME = 'SHA256SUMS';

const MAX_CHECKSUMS_BYTES = 1_000_000;
const PROGRESS_MS = 100;
/** Hexadecimal digits. */
const SHA256_LENGTH = 64;
const SHA1_LENGTH = 40;

/** The files that were hashed, and how long it took. */
export interface Verified {
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** How to report on and stop a verification. */
export interface VerifyOptions {
  /** Bytes hashed so far and in all. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A line such as `verified 6 files by their checksums, 270.6 MB at 850.3 MB/s`. */
export const describeVerified = ({ files, bytes, seconds }: Verified): string =>
  `verified ${files} files by their checksums, ${formatBytes(bytes)} at ${formatBytes(bytes / Math.max(seconds, 1e-3))}/s`;

/** A file and the hashes that its contents may have. */
interface Expected {
  readonly name: string;
  /** SHA-256, or git's SHA-1 of a blob, in hex. In a cache without links a file may be a copy of any blob. */
  readonly hashes: ReadonlySet<string>;
}

/**
 * Hashes every file of a model folder whose checksums are known: a snapshot in the cache of the Hugging Face libraries, whose
 * blobs are named by their hashes, or a folder with a file SHA256SUMS.
 * @throws {LoadError} when the contents of a file have another checksum (it names the file and the remedy), and when no
 *   checksums are known
 */
export async function verifyFolder(path: string, { onProgress, signal }: VerifyOptions = {}): Promise<Verified> {
  const folder = await realpath(path).catch((cause: unknown) => {
    throw new LoadError(`${path}: ${(cause as Error).message}`, { cause });
  });
  const { expected, remedy } = (await hashesOfSnapshot(folder)) ?? (await listedHashes(folder)) ?? failUnknown(path);
  const sizes = await Promise.all(expected.map(({ name }) => sizeOf(join(folder, name), remedy)));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const start = performance.now();
  let loaded = 0;
  let reported = 0;
  for (const [i, { name, hashes }] of expected.entries()) {
    const lengths = [...hashes].map((digest) => digest.length);
    const digits = [SHA256_LENGTH, SHA1_LENGTH].filter((length) => lengths.includes(length));
    const hashers = digits.map((length) => blobHasher(length, sizes[i]));
    const onBytes = (bytes: number): void => {
      loaded += bytes;
      if (Date.now() - reported < PROGRESS_MS) return;
      reported = Date.now();
      onProgress?.({ label: 'Verifying', loaded, total });
    };
    await hashFile(join(folder, name), hashers, { signal, onBytes });
    const got = hashers.map((hasher) => hasher.digest('hex'));
    if (got.some((digest) => hashes.has(digest))) continue;
    const wanted = hashes.size === 1 ? [...hashes][0] : 'that of a blob in the cache';
    throw new LoadError(
      `${join(folder, name)}: its ${sizes[i]} bytes differ from the published file: expected checksum ${wanted}, got ` +
        `${got[0] ?? 'none'}. ${remedy}`,
    );
  }
  return { files: expected.length, bytes: total, seconds: (performance.now() - start) / 1000 };
}

function failUnknown(path: string): never {
  throw new LoadError(
    `${path}: cannot be verified, because no checksums of its files are known: it is not a snapshot of the hub and has no ` +
      `${CHECKSUMS_NAME} (\`sha256sum * > ${CHECKSUMS_NAME}\` makes one). Leave verify out, or load the model by its name.`,
  );
}

/** The hashes of the files in `models--ORG--NAME/snapshots/COMMIT`; undefined for other folders. */
async function hashesOfSnapshot(folder: string): Promise<{ expected: Expected[]; remedy: string } | undefined> {
  const repo = repositoryOfSnapshot(folder);
  if (repo === undefined) return undefined;
  const blobs = new Set(await readdir(join(repo, 'blobs')).catch(() => []));
  const expected: Expected[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    // Where links cannot be made, the snapshot holds copies of blobs.
    const hashes = entry.isSymbolicLink() ? new Set([basename(await readlink(path))]) : blobs;
    expected.push({ name: relative(folder, path), hashes });
  }
  const name = basename(repo).slice('models--'.length).replace('--', '/');
  return { expected, remedy: `\`vitrine pull ${name} --verify\` fetches it again.` };
}

/** The hashes that SHA256SUMS lists; undefined for a folder without it. */
async function listedHashes(folder: string): Promise<{ expected: Expected[]; remedy: string } | undefined> {
  const path = join(folder, CHECKSUMS_NAME);
  const size = await stat(path).then(
    (file) => file.size,
    () => undefined,
  );
  if (size === undefined) return undefined;
  if (size > MAX_CHECKSUMS_BYTES)
    throw new LoadError(`${path}: ${size} bytes, expected ${MAX_CHECKSUMS_BYTES} at most.`);
  const known = new Map<string, string>();
  for (const line of (await readFile(path, 'utf8')).split(/\r?\n/)) {
    if (line === '') continue;
    const parts = /^([0-9a-fA-F]{64}) [ *](?:\.\/)?([^/\\\0]+)$/.exec(line);
    if (parts === null)
      throw new LoadError(`${path}: expected lines of a SHA-256 and a file's name, got ${quote(line)}.`);
    known.set(parts[2], parts[1].toLowerCase());
  }
  const names = (await readdir(folder)).filter((name) => /\.(json|jinja|safetensors|model)$/.test(name));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new LoadError(`${join(folder, unknown)}: has no checksum in ${CHECKSUMS_NAME}. Remove it, or add its line.`);
  const expected = [...known].map(([name, digest]) => ({ name, hashes: new Set([digest]) }));
  const isConverted = folder === (await realpath(convertedModelFolder()).catch(() => undefined));
  return {
    expected,
    remedy: isConverted ? 'Delete the folder and run `vitrine setup`.' : 'Fetch or make the folder again.',
  };
}

async function sizeOf(path: string, remedy: string): Promise<number> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new LoadError(`${path}: ${(cause as Error).message}. ${remedy}`, { cause });
  });
  if (!found.isFile()) throw new LoadError(`${path}: expected a file. ${remedy}`);
  return found.size;
}

/** Writes SHA256SUMS for the files in a folder, which must not have one. */
export async function writeChecksums(folder: string, { signal }: Pick<VerifyOptions, 'signal'> = {}): Promise<void> {
  const lines: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const hasher = createHash('sha256');
    await hashFile(join(folder, name), [hasher], { signal });
    lines.push(`${hasher.digest('hex')}  ${name}\n`);
  }
  await writeFile(join(folder, CHECKSUMS_NAME), lines.join(''), { flag: 'wx' });
}
