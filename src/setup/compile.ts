import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ADDON_SOURCES_SHA512 } from './pins.ts';
import { canStart, runCommand } from './run-command.ts';
import { SetupError } from './setup-error.ts';

const require = createRequire(import.meta.url);

/** The version of tfjs-node-gpu whose addon is compiled. */
const TFJS = '4.22.0';

/** How to compile the addon. */
export interface CompileOptions {
  /** The environment of the commands. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The first C++ compiler that can be started: `CXX`, g++, c++ or clang++. @throws {SetupError} when there is none */
export async function findCompiler(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  for (const compiler of [env.CXX, 'g++', 'c++', 'clang++']) {
    if (compiler && (await canStart(compiler, [], env))) return compiler;
  }
  throw new SetupError(
    'a C++ compiler is missing (for example `apt-get install g++`; on macOS `xcode-select --install`)',
  );
}

/**
 * Compiles tfjs-node-gpu's addon against the libraries and headers in `folder/tensorflow` into `folder/tfjs_binding.node`.
 * @throws {SetupError} when a command fails, or the addon's sources have another checksum
 */
export async function compileAddon(folder: string, compiler: string, options: CompileOptions = {}): Promise<void> {
  const { env, signal } = options;
  const binding = await bindingSources(folder, options);
  const sources = (await readdir(binding)).filter((name) => name.endsWith('.cc')).map((name) => join(binding, name));
  const { include_dir: nodeHeaders } = require('node-api-headers') as { include_dir: string };
  const tensorflow = join(folder, 'tensorflow');
  const defines = ['-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=tfjs_binding', '-DBUILDING_NODE_EXTENSION'];
  const link =
    process.platform === 'darwin'
      ? ['-undefined', 'dynamic_lookup', `-Wl,-rpath,@loader_path/tensorflow`]
      : ['-Wl,-z,initfirst', '-Wl,-rpath,$ORIGIN/tensorflow'];
  const libraries = (await readdir(tensorflow)).filter((name) => name.startsWith('libtensorflow_'));
  await runCommand(
    compiler,
    [
      ...['-O2', '-std=c++17', '-fPIC', '-shared', ...defines],
      ...['-I', join(tensorflow, 'include'), '-I', nodeHeaders],
      ...[...sources, fileURLToPath(new URL('./quiet.cc', import.meta.url))],
      ...['-o', join(folder, 'tfjs_binding.node'), ...libraries.map((name) => join(tensorflow, name)), ...link],
    ],
    { signal, ...(env && { env }) },
  );
}

/**
 * The folder of the addon's sources: in the optional dependency if npm installed it, else in its package, which is downloaded.
 */
async function bindingSources(folder: string, { env, signal }: CompileOptions): Promise<string> {
  try {
    return join(dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json')), 'binding');
  } catch {
    const sources = join(folder, 'sources');
    await mkdir(sources, { recursive: true });
    const options = { cwd: sources, signal, ...(env && { env }) };
    const archive = `tensorflow-tfjs-node-gpu-${TFJS}.tgz`;
    await runCommand('npm', ['pack', '--silent', `@tensorflow/tfjs-node-gpu@${TFJS}`], options);
    const got = createHash('sha512')
      .update(await readFile(join(sources, archive)))
      .digest('base64');
    if (got !== ADDON_SOURCES_SHA512)
      throw new SetupError(
        `${archive}: expected sha512 ${ADDON_SOURCES_SHA512}, got ${got}. The file was not ` +
          `unpacked. The registry or a proxy serves another file.`,
      );
    await runCommand('tar', ['-xzf', archive, 'package/binding'], options);
    return join(sources, 'package', 'binding');
  }
}
