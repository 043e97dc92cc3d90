import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OnProgress } from '../loader/progress.ts';
import { checkSha256 } from './checksum.ts';
import { WHEEL_SHA256 } from './pins.ts';
import { canStart, runCommand } from './run-command.ts';
import { SetupError } from './setup-error.ts';

/** How to run pip. */
export interface PipOptions {
  /** The environment of pip, with the `PATH` on which it is searched. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The platform tags of wheels to accept, so that the version of the local Python does not matter. */
const TARGET: Partial<Record<string, string[]>> = {
  'linux-x64': ['manylinux_2_28_x86_64', 'manylinux_2_27_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64'],
  'linux-arm64': [
    'manylinux_2_28_aarch64',
    'manylinux_2_27_aarch64',
    'manylinux_2_17_aarch64',
    'manylinux2014_aarch64',
  ],
  'darwin-arm64': ['macosx_12_0_arm64', 'macosx_11_0_arm64'],
};

const COMMANDS = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']] as const;

/**
 * Downloads wheels without their dependencies into `folder`, checks their pinned checksums, and returns their paths. pip runs with
 * the user's settings (index, certificates, cache).
 * @param requirements Such as `tensorflow-cpu==2.21.0`.
 * @throws {SetupError} when pip is missing or finds no wheel, or a wheel has another checksum
 */
export async function pipDownload(
  requirements: readonly string[],
  folder: string,
  options: PipOptions = {},
): Promise<string[]> {
  const { env = process.env, onProgress, signal } = options;
  const [command, ...prefix] = await findPip(env);
  const platforms = TARGET[`${process.platform}-${process.arch}`] ?? [];
  const python =
    platforms.length > 0
      ? ['--python-version', '3.12', '--implementation', 'cp', '--abi', 'cp312', '--abi', 'none']
      : [];
  const temporary = join(folder, 'pip');
  await mkdir(temporary, { recursive: true });

  // pip's progress bar is not the same in all versions, so the sizes of its files are measured.
  let label = `Finding ${requirements.join(', ')}`;
  let total = 0;
  const report = async (): Promise<void> => {
    const loaded = await folderBytes(folder);
    // At the end pip copies the file, which is on disk twice for a while.
    onProgress?.(total > 0 ? { label, loaded: Math.min(loaded, total), total } : { label, loaded });
  };
  const timer = setInterval(() => void report().catch(() => undefined), 500);
  try {
    const flags = ['--no-deps', '--only-binary', ':all:', '--progress-bar', 'off', '--retries', '1', '--timeout', '15'];
    const target = [...platforms.flatMap((platform) => ['--platform', platform]), ...python];
    await runCommand(command, [...prefix, 'download', ...flags, ...target, '--dest', folder, ...requirements], {
      env: { ...env, TMPDIR: temporary, TEMP: temporary, TMP: temporary, PIP_DISABLE_PIP_VERSION_CHECK: '1' },
      signal,
      onLine: (line) => {
        const download = /(?:Downloading|Using cached) (\S+\/)?(\S+\.whl).*?\(([\d.]+) (bytes|kB|MB|GB)\)/.exec(line);
        if (download === null) return;
        label = `Downloading ${download[2]}`;
        total += Number(download[3]) * { bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[download[4] as 'MB'];
      },
    });
    const loaded = await folderBytes(folder);
    onProgress?.({ label, loaded, total: loaded });
  } finally {
    clearInterval(timer);
  }
  const names = (await readdir(folder)).filter((name) => name.endsWith('.whl'));
  if (names.length === 0)
    throw new SetupError(`pip: expected a wheel of ${requirements.join(', ')}, got none. Check pip's index`);
  for (const name of names) {
    onProgress?.({ label: `Checking ${name}`, loaded: 0 });
    const expected = Object.hasOwn(WHEEL_SHA256, name) ? WHEEL_SHA256[name] : undefined;
    await checkSha256(join(folder, name), expected, { env, signal });
  }
  return names.map((name) => join(folder, name));
}

async function findPip(env: NodeJS.ProcessEnv): Promise<readonly [string, ...string[]]> {
  for (const [command, ...args] of COMMANDS) {
    if (await canStart(command, args, env)) return [command, ...args];
  }
  throw new SetupError('pip is missing (install Python 3 with pip, for example `apt-get install python3-pip`)');
}

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.whl'))
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        (file) => file.size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
