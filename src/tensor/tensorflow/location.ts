import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../platform/cache-folder.ts';

/** What is changed when the files inside a native folder, or the way they are built, change. */
const LAYOUT = 'v1';

/**
 * The native builds we know: TensorFlow's current libraries with an addon compiled against them, for a processor or for
 * NVIDIA's CUDA, and the older files that the tfjs project publishes ready-made.
 */
export const NATIVE_BUILDS = {
  cuda: { tensorflow: '2.21.0', addon: 'tfjs_binding.node' },
  cpu: { tensorflow: '2.21.0', addon: 'tfjs_binding.node' },
  prebuilt: { tensorflow: '2.9.1', addon: 'lib/napi-v8/tfjs_binding.node' },
} as const;

/** The name of a native build. */
export type NativeBuild = keyof typeof NATIVE_BUILDS;

/** The folder of one native build. It exists only when it is complete: it is made elsewhere and renamed. */
export function nativeFolder(build: NativeBuild, cache: string = cacheFolder()): string {
  const { tensorflow } = NATIVE_BUILDS[build];
  const name = `tensorflow-${tensorflow}-${build}-${process.platform}-${process.arch}`;
  return join(cache, 'native', LAYOUT, name);
}

/** Whether an NVIDIA driver shows a GPU: Linux' device files, or the driver library that WSL mounts. */
export const nvidiaGpuPresent = (): boolean =>
  process.platform === 'linux' &&
  ['/proc/driver/nvidia/version', '/dev/nvidia0', '/usr/lib/wsl/lib/libcuda.so.1'].some((path) => existsSync(path));

/** The builds to install on this machine, best first. */
export const wantedBuilds = (gpu: boolean = nvidiaGpuPresent()): [NativeBuild, ...NativeBuild[]] =>
  gpu ? ['cuda', 'cpu', 'prebuilt'] : ['cpu', 'prebuilt'];

/** The build that serves this machine best among those that are installed. */
export function installedBuild(cache: string = cacheFolder()): NativeBuild | undefined {
  const preferred: NativeBuild[] = nvidiaGpuPresent() ? ['cuda', 'cpu', 'prebuilt'] : ['cpu', 'cuda', 'prebuilt'];
  return preferred.find((build) => existsSync(nativeFolder(build, cache)));
}
