import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeComplete } from '../loader/files/make-complete.ts';
import type { OnProgress } from '../loader/progress.ts';
import { cacheFolder } from '../platform/cache-folder.ts';
import { NATIVE_BUILDS, nativeFolder, wantedBuilds } from '../tensor/tensorflow/location.ts';
import type { NativeBuild } from '../tensor/tensorflow/location.ts';
import { compileAddon, findCompiler } from './compile.ts';
import { pipDownload } from './pip.ts';
import { CUDA_REQUIREMENTS } from './pins.ts';
import { installPrebuilt } from './prebuilt.ts';
import { runCommand } from './run-command.ts';
import { unzip } from './unzip.ts';

/** How to install native TensorFlow. */
export interface NativeOptions {
  /** Vitrine's cache folder. Default `cacheFolder()`. */
  readonly cache?: string;
  /** The environment of the commands. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Whether the machine has an NVIDIA GPU. Default: looked up. */
  readonly gpu?: boolean;
  /** The address of the prebuilt files. Default: the tfjs project's host. */
  readonly prebuiltUrl?: string;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The result of an installation. */
export interface NativeResult {
  /** The build that is installed; undefined where none could be. */
  readonly build: NativeBuild | undefined;
  /** The reason why it is not the best build for this machine, in one line. */
  readonly problem?: string;
}

/**
 * Installs the best build of native TensorFlow for this machine, unless it is installed already. Only an abort throws. Other
 * problems are described in the result; without a build, the `reference` backend remains.
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
          await runCommand(process.execPath, ['-e', 'require(process.argv[1])', addon], { signal });
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

/** Installs TensorFlow's libraries from its Python package, and compiles the addon against them. */
async function installFromWheel(build: 'cuda' | 'cpu', folder: string, options: NativeOptions): Promise<void> {
  const { env, onProgress, signal } = options;
  const compiler = await findCompiler(env); // before a download of hundreds of megabytes
  const name =
    build === 'cpu' && process.platform === 'linux' && process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow';
  const wheels = join(folder, 'wheels');
  const [wheel] = await pipDownload([`${name}==${NATIVE_BUILDS[build].tensorflow}`], wheels, options);
  await unzip(wheel, folder, { wanted: isNeeded, label: 'Unpacking TensorFlow', onProgress, signal });
  await rm(wheels, { recursive: true });
  if (build === 'cuda') await installCuda(folder, options);

  onProgress?.({ label: 'Compiling the TensorFlow addon', loaded: 0 });
  await compileAddon(folder, compiler, { env, signal });
  for (const name of ['tensorflow/include', 'sources']) await rm(join(folder, name), { recursive: true, force: true });
}

const HEADERS = ['absl/', 'tsl/', 'xla/tsl/c/', 'tensorflow/c/', 'tensorflow/core/platform/'];

/** Whether the addon needs a file of TensorFlow's package: its libraries and some headers. */
const isNeeded = (name: string): boolean =>
  /^tensorflow\/libtensorflow_(cc|framework)\.(so\.2|2\.dylib)$/.test(name) ||
  HEADERS.some((prefix) => name.startsWith(`tensorflow/include/${prefix}`));

/** Installs NVIDIA's libraries where TensorFlow's libraries look for them. */
async function installCuda(folder: string, options: NativeOptions): Promise<void> {
  const wheels = join(folder, 'wheels');
  const { onProgress, signal } = options;
  for (const wheel of await pipDownload(CUDA_REQUIREMENTS, wheels, options)) {
    const wanted = (name: string) => /^nvidia\/[^/]+\/(lib|bin|nvvm)\//.test(name);
    await unzip(wheel, folder, { wanted, label: 'Unpacking CUDA', onProgress, signal });
  }
  await rm(wheels, { recursive: true });
}
