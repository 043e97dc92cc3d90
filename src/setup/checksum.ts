import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { hashFile } from '../loader/files/hash-file.ts';
import { SetupError } from './setup-error.ts';

/** The environment variable with the SHA-256 of files that the user trusts although their checksums are not pinned. */
export const TRUSTED = 'VITRINE_TRUSTED_SHA256';

/** How to check a file. */
export interface ChecksumOptions {
  /** The environment with VITRINE_TRUSTED_SHA256. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks the SHA-256 of a downloaded file before it is used, and removes the file if it is wrong.
 *
 * @param expected The pinned SHA-256; undefined where there is none, so that `VITRINE_TRUSTED_SHA256` (several, with commas) must
 *   list the file's.
 * @throws {SetupError} with both checksums, when neither is the file's
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
    `${basename(path)}: expected sha256 ${expected ?? '(none is pinned)'}, got ${got}. The file was deleted, not ` +
      `unpacked. ${expected === undefined ? '' : 'The index or a proxy serves another file. '}` +
      `If you trust it, set ${TRUSTED}=${got}.`,
  );
}
