// The part of the set-up before Vitrine's own code can run: packages and the build. It is plain JavaScript that imports no
// packages, since they may not be installed yet.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...names) => join(root, ...names);

/** A step of the set-up failed. The message is for the user. */
export class StepFailed extends Error {}

/** Prints an error and sets the exit code: the message of a StepFailed or SetupError, else also the stack. */
export function reportFailure(error) {
  const isExplained = error instanceof StepFailed || error.name === 'SetupError';
  console.error(isExplained ? error.message : error);
  process.exitCode = 1;
}

/**
 * Installs packages, native TensorFlow and the default model, and compiles, as far as needed. Returns the result of `setup`.
 *
 * @param {{ model?: boolean, tests?: boolean }} options `model`: whether the default model is needed; `tests`: whether its 4-bit
 *   copy is needed too, to which the exact figures of tests belong.
 */
export async function prepare({ model = true, tests = false } = {}) {
  ensurePackages();
  ensureBuild();
  const { ensureConvertedModel, setup } = await import(at('dist', 'setup', 'set-up.js'));
  const { progressPrinter } = await import(at('dist', 'cli', 'progress-line.js'));
  const onProgress = progressPrinter();
  const stop = new AbortController();
  const interrupt = () => stop.abort(new StepFailed('Stopped.'));
  process.once('SIGINT', interrupt);
  try {
    const result = await setup({ model, onProgress, signal: stop.signal });
    onProgress.end();
    for (const problem of result.problems) console.error(problem);
    if (tests) await ensureConvertedModel({ onProgress, signal: stop.signal });
    return result;
  } finally {
    onProgress.end();
    process.off('SIGINT', interrupt);
  }
}

/** Runs `npm ci` unless node_modules matches package-lock.json. */
export function ensurePackages() {
  if (packagesMatch()) return;
  console.error('Installing packages (npm ci) ...');
  const npm = process.env.npm_execpath;
  const [command, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  step(command, [...first, 'ci', '--no-audit', '--no-fund']);
}

function packagesMatch() {
  let installed;
  try {
    // npm writes this file last.
    installed = readJson('node_modules', '.package-lock.json').packages;
  } catch {
    return false;
  }
  // A package for another platform, or an optional one that could not be installed, may be absent.
  return Object.entries(readJson('package-lock.json').packages).every(
    ([path, { version, optional }]) =>
      path === '' || (installed[path]?.version ?? (optional ? version : undefined)) === version,
  );
}

/** Compiles src/ into dist/ unless the last build was made of the same files, by their times and sizes. */
export function ensureBuild() {
  const stamp = sourceStamp();
  const stampFile = at('dist', '.stamp');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  console.error('Compiling ...');
  const fresh = at(`dist.partial-${process.pid}`);
  const former = at(`dist.former-${process.pid}`);
  try {
    const tsc = at('node_modules', 'typescript', 'bin', 'tsc');
    step(process.execPath, [tsc, '-p', at('tsconfig.build.json'), '--outDir', fresh]);
    compileKernels(join(fresh, 'tensor', 'cpu', 'kernels.wasm'));
    writeFileSync(join(fresh, '.stamp'), stamp);
    if (existsSync(at('dist'))) renameSync(at('dist'), former);
    renameSync(fresh, at('dist'));
  } finally {
    for (const folder of [fresh, former]) rmSync(folder, { recursive: true, force: true });
  }
}

/** Compiles the SIMD kernels from AssemblyScript into one module with a shared memory. */
function compileKernels(target) {
  const asc = at('node_modules', 'assemblyscript', 'bin', 'asc.js');
  const memory = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'];
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd,threads', ...memory];
  step(process.execPath, [asc, at('src', 'tensor', 'cpu', 'assembly', 'index.ts'), '-o', target, ...options]);
}

function sourceStamp() {
  const sources = readdirSync(at('src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const hash = createHash('sha256');
  for (const file of [at('tsconfig.json'), at('tsconfig.build.json'), ...sources.sort()]) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${file}\n${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}

/** Runs a command with its output on stderr, so that stdout has results only. */
export function step(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new StepFailed(error?.message ?? `${[command, ...args].join(' ')} failed`);
}

const readJson = (...path) => JSON.parse(readFileSync(at(...path), 'utf8'));
