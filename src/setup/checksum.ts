import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { hashFile } from '../loader/hash-file.ts';
import { SetupError } from './setup-error.ts';

/** Where users say that they trust files whose checksums we do not know. */
export const TRUSTED = 'VITRINE_TRUSTED_SHA256';

export interface ChecksumOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Holds a file that was downloaded against its SHA-256, before anything is done with it, and removes it where that is another.
 *
 * @param expected Undefined where none is known: then the environment must state it (`VITRINE_TRUSTED_SHA256`, several with
 *   commas).
 * @throws SetupError with both checksums.
 */
export async function checkSha256(path: string, expected: string | undefined, options: ChecksumOptions): Promise<void> {
  const { env = process.env, signal } = options;
  const hash = createHash('sha256');
  await hashFile(path, [hash], { signal });
  const got = hash.digest('hex');
  const trusted = (env[TRUSTED] ?? '').toLowerCase().split(/[\s,]+/);
  if (got === expected || trusted.includes(got)) return;
  await rm(path, { force: true });
  throw new SetupError(
    `${basename(path)}: expected sha256 ${expected ?? '(none is known)'}, got ${got}. It was thrown away and nothing of it ` +
      `was unpacked. ${expected === undefined ? '' : 'The index or a proxy serves another file. '}` +
      `Where you trust it, set ${TRUSTED}=${got}.`,
  );
}
