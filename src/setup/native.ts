import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { OnProgress } from '../loader/progress.ts';
import { cacheFolder } from '../platform/cache-folder.ts';
import { NATIVE_BUILDS, nativeFolder, wantedBuilds } from '../tensor/tensorflow/location.ts';
import type { NativeBuild } from '../tensor/tensorflow/location.ts';
import { compileAddon, findCompiler } from './compile.ts';
import { pipDownload } from './pip.ts';
import { CUDA_REQUIREMENTS } from './pins.ts';
import { installPrebuilt } from './prebuilt.ts';
import { run } from './run.ts';
import { makeComplete } from './staging.ts';
import { unzip } from './unzip.ts';

export interface NativeOptions {
  readonly cache?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly gpu?: boolean;
  /** Where the ready-made files come from; default: the tfjs project's host. */
  readonly prebuiltUrl?: string;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NativeResult {
  /** The build that will be used; undefined where none could be had. */
  readonly build: NativeBuild | undefined;
  /** Why it is not the best one for this machine, in one line. */
  readonly problem?: string;
}

/**
 * Installs native TensorFlow, the best build that this machine allows, unless it is there already. Only an abort throws;
 * whatever else is missing is told in the result, and the `reference` backend remains.
 */
export async function installNative(options: NativeOptions = {}): Promise<NativeResult> {
  const { cache = cacheFolder(), gpu, signal } = options;
  const problems: string[] = [];
  for (const build of wantedBuilds(gpu)) {
    const folder = nativeFolder(build, cache);
    try {
      if (!existsSync(folder)) {
        await makeComplete(folder, async (temporary) => {
          if (build === 'prebuilt') await installPrebuilt(temporary, { ...options, url: options.prebuiltUrl });
          else await installFromWheel(build, temporary, options);
          const addon = join(temporary, NATIVE_BUILDS[build].addon);
          await run(process.execPath, ['-e', 'require(process.argv[1])', addon], { signal });
        });
      }
      return { build, ...(problems.length > 0 && { problem: problems.join('; ') }) };
    } catch (error) {
      signal?.throwIfAborted();
      problems.push((error as Error).message);
    }
  }
  return { build: undefined, problem: problems.join('; ') };
}

/** TensorFlow's libraries from its Python package, and the addon compiled against them. */
async function installFromWheel(build: 'cuda' | 'cpu', folder: string, options: NativeOptions): Promise<void> {
  const { env, onProgress, signal } = options;
  const compiler = await findCompiler(env); // before hundreds of megabytes are downloaded
  const name =
    build === 'cpu' && process.platform === 'linux' && process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow';
  const wheels = join(folder, 'wheels');
  const [wheel] = await pipDownload([`${name}==${NATIVE_BUILDS[build].tensorflow}`], wheels, options);
  await unzip(wheel, folder, { wanted: neededOfTensorFlow, label: 'Unpacking TensorFlow', onProgress, signal });
  await rm(wheels, { recursive: true });
  if (build === 'cuda') await installCuda(folder, options);

  onProgress?.({ label: 'Compiling the TensorFlow addon', loaded: 0 });
  await compileAddon(folder, compiler, { env, signal });
  for (const used of ['tensorflow/include', 'sources']) await rm(join(folder, used), { recursive: true, force: true });
}

const HEADERS = ['absl/', 'tsl/', 'xla/tsl/c/', 'tensorflow/c/', 'tensorflow/core/platform/'];

const neededOfTensorFlow = (name: string): boolean =>
  /^tensorflow\/libtensorflow_(cc|framework)\.(so\.2|2\.dylib)$/.test(name) ||
  HEADERS.some((prefix) => name.startsWith(`tensorflow/include/${prefix}`));

/** NVIDIA's libraries, where TensorFlow's libraries look for them. */
async function installCuda(folder: string, options: NativeOptions): Promise<void> {
  const wheels = join(folder, 'wheels');
  const { onProgress, signal } = options;
  for (const wheel of await pipDownload(CUDA_REQUIREMENTS, wheels, options)) {
    const wanted = (name: string) => /^nvidia\/[^/]+\/(lib|bin|nvvm)\//.test(name);
    await unzip(wheel, folder, { wanted, label: 'Unpacking CUDA', onProgress, signal });
  }
  await rm(wheels, { recursive: true });
}
