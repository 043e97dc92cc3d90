import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OnProgress } from '../loader/progress.ts';
import { checkSha256 } from './checksum.ts';
import { runCommand } from './run-command.ts';
import { SetupError } from './setup-error.ts';

/** The host on which the tfjs project publishes its prebuilt files. */
export const PREBUILT_URL = 'https://storage.googleapis.com';

/** The longest wait for an answer, after which a host counts as unreachable. */
const ANSWER_MS = 8000;

const PLATFORM: Partial<Record<string, string>> = { 'linux-x64': 'linux', 'darwin-x64': 'darwin' };

/** How to get the prebuilt files. */
export interface PrebuiltOptions {
  /** The address of their host. Default {@link PREBUILT_URL}. */
  readonly url?: string | undefined;
  /** The environment with VITRINE_TRUSTED_SHA256. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads and unpacks tfjs-node's prebuilt addon and its TensorFlow 2.9.1 (CPU) into `folder`. The tfjs project publishes no
 * checksums, so `VITRINE_TRUSTED_SHA256` must list those of both files.
 * @throws {SetupError} when there are none for this platform, a download fails, or a checksum is not listed
 */
export async function installPrebuilt(folder: string, options: PrebuiltOptions = {}): Promise<void> {
  const { url = PREBUILT_URL } = options;
  const platform = PLATFORM[`${process.platform}-${process.arch}`];
  if (platform === undefined) {
    throw new SetupError(`tfjs-node publishes no prebuilt files for ${process.platform}-${process.arch}`);
  }
  // The addon looks for its libraries in ../../deps/lib.
  const addon = `${url}/tf-builds/pre-built-binary/napi-v8/4.22.0/CPU-${platform}-4.22.0.tar.gz`;
  const libraries = `${url}/tensorflow/libtensorflow/libtensorflow-cpu-${platform}-x86_64-2.9.1.tar.gz`;
  await fetchTarball(addon, join(folder, 'lib', 'napi-v8'), ['--strip-components=1'], options);
  await fetchTarball(libraries, join(folder, 'deps'), [], options);
}

async function fetchTarball(
  url: string,
  folder: string,
  flags: string[],
  { env, onProgress, signal }: PrebuiltOptions,
) {
  await mkdir(folder, { recursive: true });
  const archive = join(folder, basename(url));
  const response = await request(url, signal);
  const label = `Downloading ${url.slice(url.lastIndexOf('/') + 1)}`;
  const length = Number(response.headers.get('content-length') ?? 0);
  let loaded = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      loaded += chunk.length;
      onProgress?.({ label, loaded, ...(length > 0 && { total: length }) });
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(response.body), count, createWriteStream(archive), { signal });
  await checkSha256(archive, undefined, { env, signal });
  await runCommand('tar', ['-xzf', archive, '-C', folder, ...flags], { signal });
  await rm(archive);
}

async function request(url: string, signal: AbortSignal | undefined) {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new Error(`no answer in ${ANSWER_MS / 1000} s`));
  }, ANSWER_MS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any(signal ? [signal, late.signal] : [late.signal]) });
    if (!response.ok || response.body === null) throw new Error(`HTTP status ${response.status}`);
    return { headers: response.headers, body: response.body };
  } catch (error) {
    signal?.throwIfAborted();
    const { message, cause } = error as Error;
    throw new SetupError(`${url} could not be downloaded: ${cause instanceof Error ? cause.message : message}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}
