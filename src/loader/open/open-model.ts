import { stat } from 'node:fs/promises';
import { CALLBACK, type Checks, checkArgument, checkOptions, FLAG, NAME, PATH, SIGNAL } from '../../options.ts';
import { findGguf } from '../gguf/find-gguf.ts';
import { openGguf } from '../gguf/open-gguf.ts';
import type { ModelFiles } from '../model-files.ts';
import { openFolder } from '../folder/open-folder.ts';
import type { OnProgress } from '../progress.ts';
import { describeVerified, verifyFolder } from '../verify/verify-folder.ts';

/** How to open a model's files. */
export interface OpenOptions {
  /** Branch, tag or commit of a hub repository. Default `main`. */
  revision?: string | undefined;
  /** Follow links that lead out of a model folder, with a note for each. Default false: such a link is an error. */
  allowLinks?: boolean | undefined;
  /** Hash every file first, and refuse the model if a file differs from the published one. Default false. */
  verify?: boolean | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** The checks of {@link OpenOptions}. */
export const OPEN_CHECKS: Checks<OpenOptions> = {
  revision: NAME,
  allowLinks: FLAG,
  verify: FLAG,
  onProgress: CALLBACK,
  signal: SIGNAL,
};

/**
 * Opens the files of a model without reading its weights. The caller closes the checkpoint.
 *
 * @param source A folder in the Hugging Face layout, a GGUF file (any part of several) or its folder, or a hub id `org/name`.
 * @throws {LoadError} when a file is missing or malformed; it names the file
 * @throws {HubError} when the model cannot be downloaded
 * @throws {OptionError} when an argument or option has a wrong value
 */
export async function openModel(source: string, options: OpenOptions = {}): Promise<ModelFiles> {
  checkOptions('openModel', options, OPEN_CHECKS);
  checkArgument('openModel', 'source', source, PATH);
  const gguf = await findGguf(source);
  if (gguf === undefined && isHubId(source) && !(await exists(source))) {
    // Imported only here: its HTTP client is WebAssembly, which reserves 10 GiB of address space.
    const { openFromHub } = await import('../hub/open-from-hub.ts');
    return openFromHub(source, options);
  }
  const notes = options.verify ? [describeVerified(await verifyFolder(gguf ?? source, options))] : [];
  const files = await (gguf === undefined ? openFolder(source, options) : openGguf(gguf, options));
  return { ...files, notes: [...(files.notes ?? []), ...notes] };
}

const isHubId = (source: string): boolean => /^[\w.-]+\/[\w.-]+$/.test(source) && !source.startsWith('.');

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
