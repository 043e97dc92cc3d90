import { realpath } from 'node:fs/promises';

import type { LinkOptions } from '../model-folder.ts';
import type { ModelFiles } from '../model-files.ts';
import { convertedModelFolder, DEFAULT_MODEL, defaultModelFolder } from '../default-model.ts';
import { openFolder } from '../open-folder.ts';
import { describeVerified, verifyFolder } from '../verify.ts';
import { downloadModel, type DownloadOptions } from './download.ts';
import { HubUnreachableError } from './hub-error.ts';

/**
 * Opens `org/name` from the cache of the Hugging Face libraries, downloaded where it is missing. Where the hub cannot be
 * asked, the default model that the set-up brought answers to its name, unless a revision is named.
 * @throws HubError, LoadError
 */
export async function openFromHub(
  repo: string,
  options: Omit<DownloadOptions, 'env'> & LinkOptions = {},
): Promise<ModelFiles> {
  const { verify = false, onProgress, signal } = options;
  const notes: string[] = [];
  // What is wrong is refused here, and healed only by a caller who asks `downloadModel` for it.
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

/** What the set-up brought, where it is the model that was asked for and the hub gave no answer. */
async function installedCopy(
  repo: string,
  revision: string | undefined,
  error: unknown,
): Promise<{ folder: string; note: string } | undefined> {
  if (repo !== DEFAULT_MODEL || revision !== undefined || !(error instanceof HubUnreachableError)) return undefined;
  const target = await realpath(defaultModelFolder()).catch(() => undefined);
  if (target === undefined) return undefined;
  const isConverted = target === (await realpath(convertedModelFolder()).catch(() => undefined));
  const what = isConverted ? 'the copy made of 4-bit weights, which the set-up brought,' : 'what the set-up brought';
  return { folder: target, note: `${what} serves as ${repo}: ${error.message.replace(`${repo} (main): `, '')}` };
}
