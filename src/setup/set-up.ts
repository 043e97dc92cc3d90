import { existsSync } from 'node:fs';
import type { OnProgress } from '../loader/progress.ts';
import { cacheFolder } from '../platform/cache-folder.ts';
import { nativeFolder, wantedBuilds } from '../tensor/tensorflow/location.ts';
import { ensureDefaultModel } from './ensure-default-model.ts';
import type { NativeResult } from './native.ts';

export { convertedModelFolder, defaultModelFolder } from '../loader/default-model.ts';
export { ensureConvertedModel, ensureDefaultModel } from './ensure-default-model.ts';

/** How to set up. */
export interface SetupOptions {
  /** Whether to download the default model as well. Default true. */
  readonly model?: boolean;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The result of a set-up. */
export interface SetupResult {
  /** The installed build of TensorFlow; undefined where there is none, so that only the `reference` backend can be used. */
  readonly native: NativeResult['build'];
  /** The folder of the default model; undefined where it was not asked for, or could not be downloaded. */
  readonly model: string | undefined;
  /** A line for each problem. */
  readonly problems: readonly string[];
}

/**
 * Installs what the package does not contain, native TensorFlow and the default model, unless it is installed already. Only an
 * abort throws.
 */
export async function setup({ model = true, onProgress, signal }: SetupOptions = {}): Promise<SetupResult> {
  const problems: string[] = [];
  const native = await ensureNative({ onProgress, signal });
  if (native.build === undefined) {
    problems.push(
      `Native TensorFlow could not be installed, so the slow reference backend is used: ${native.problem ?? ''}`,
    );
  } else if (native.problem !== undefined) {
    problems.push(`Native TensorFlow: the ${native.build} build is used, which is not the best one: ${native.problem}`);
  }

  let folder: string | undefined;
  if (model) {
    try {
      const result = await ensureDefaultModel({ onProgress, signal });
      folder = result.folder;
      if (result.problem !== undefined) problems.push(result.problem);
    } catch (error) {
      signal?.throwIfAborted();
      problems.push((error as Error).message);
    }
  }
  return { native: native.build, model: folder, problems: problems.map((problem) => problem.replaceAll(/\s+/g, ' ')) };
}

async function ensureNative(options: Pick<SetupOptions, 'onProgress' | 'signal'>): Promise<NativeResult> {
  const [best] = wantedBuilds();
  if (existsSync(nativeFolder(best, cacheFolder()))) return { build: best };
  const { installNative } = await import('./native.ts');
  return installNative(options);
}
