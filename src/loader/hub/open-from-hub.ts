import { realpath } from 'node:fs/promises';

import type { LinkOptions } from '../files/model-folder.ts';
import type { ModelFiles } from '../model-files.ts';
import { convertedModelFolder, DEFAULT_MODEL, defaultModelFolder } from '../default-model.ts';
import { openFolder } from '../folder/open-folder.ts';
import { describeVerified, verifyFolder } from '../verify/verify-folder.ts';
import { downloadModel, type DownloadOptions } from './download.ts';
import { HubUnreachableError } from './hub-error.ts';

/**
 * Opens `org/name` from the cache of the Hugging Face libraries, after downloading it where it is missing. Where the hub does not
 * answer, the default model is opened from the copy of the set-up, unless a revision is given.
 * @throws {HubError} when the model cannot be downloaded
 * @throws {LoadError} when a file is malformed or, with `verify`, has another checksum
 */
export async function openFromHub(
  repo: string,
  options: Omit<DownloadOptions, 'env'> & LinkOptions = {},
): Promise<ModelFiles> {
  const { verify = false, onProgress, signal } = options;
  const notes: string[] = [];
  // With `verify`, a wrong file is an error here; `downloadModel` would download it again.
  const folder = await downloadModel(repo, { ...options, verify: false }).catch(async (error: unknown) => {
    const installed = await installedCopy(repo, options.revision, error);
    if (installed === undefined) throw error;
    notes.push(installed.note);
    return installed.folder;
  });
  if (verify) notes.push(describeVerified(await verifyFolder(folder, { onProgress, signal })));
  const files = await openFolder(folder, options);
  return { ...files, notes: [...(files.notes ?? []), ...notes] };
}

/** The copy of the set-up and a note, if the default model was asked for and the hub did not answer. */
async function installedCopy(
  repo: string,
  revision: string | undefined,
  error: unknown,
): Promise<{ folder: string; note: string } | undefined> {
  if (repo !== DEFAULT_MODEL || revision !== undefined || !(error instanceof HubUnreachableError)) return undefined;
  const target = await realpath(defaultModelFolder()).catch(() => undefined);
  if (target === undefined) return undefined;
  const isConverted = target === (await realpath(convertedModelFolder()).catch(() => undefined));
  const copy = isConverted ? 'a copy made of 4-bit weights, from the set-up,' : 'the copy of the set-up';
  return { folder: target, note: `${copy} is used for ${repo}: ${error.message.replace(`${repo} (main): `, '')}` };
}
