// `node scripts/make-synthetic.mjs MODEL FOLDER [--seed N]`: writes a folder with the shapes, formats, files and names of a
// published model, and random weights, to measure its size and speed without the model.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuild, reportFailure, root, StepFailed } from './bootstrap.mjs';
import { MODELS } from './synthetic/models.mjs';
import { writeModel } from './synthetic/write-model.mjs';

const HELP = `Usage: node scripts/make-synthetic.mjs MODEL FOLDER [--seed N]

Writes FOLDER, which must not exist: config.json, tokenizer and weights with the shapes, formats, files and names of a
published model, filled with random numbers. Its text is meaningless; sizes and speed are those of the model.

Models:
${Object.entries(MODELS)
  .map(([name, { describe }]) => `  ${name.padEnd(31)}${describe}`)
  .join('\n')}

Options:
  --seed N   the same seed gives the same files (default: 0)
  --help     show this

Example:
  $ node scripts/make-synthetic.mjs gpt-oss-20b /tmp/gpt-oss-20b
`;

const stop = new AbortController();
process.once('SIGINT', () => stop.abort(new StepFailed('Stopped.')));

try {
  const { name, folder, seed } = readArguments();
  if (name === undefined) process.stdout.write(HELP);
  else await make(name, folder, seed);
} catch (error) {
  reportFailure(error);
}

function readArguments() {
  const options = { seed: { type: 'string', default: '0' }, help: { type: 'boolean' } };
  let parsed;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    throw new StepFailed(`${error.message}\nSee --help.`);
  }
  const { positionals, values } = parsed;
  if (values.help) return {};
  const [name, folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new StepFailed('Expected a model and a folder. See --help.');
  if (!Object.hasOwn(MODELS, name))
    throw new StepFailed(`There is no model ${name}. Choose one of ${Object.keys(MODELS).join(', ')}.`);
  if (!/^\d{1,15}$/.test(values.seed)) throw new StepFailed(`--seed: expected a whole number, got ${values.seed}.`);
  return { name, folder, seed: Number(values.seed) };
}

async function make(name, folder, seed) {
  ensureBuild();
  const dist = (...path) => import(join(root, 'dist', ...path));
  const [{ writeSafetensors }, { PRE_TOKENIZERS }, { createRandom }, { floatFormat }, { progressPrinter }] =
    await Promise.all([
      dist('loader', 'safetensors', 'write-safetensors.js'),
      dist('loader', 'gguf', 'pre-tokenizers.js'),
      dist('sampling', 'random.js'),
      dist('tensor', 'formats', 'float-formats.js'),
      dist('cli', 'progress-line.js'),
    ]);
  const formats = { BF16: floatFormat('bf16'), F32: floatFormat('f32'), F8_E4M3: floatFormat('f8_e4m3') };
  const onProgress = progressPrinter();
  const parts = { writeSafetensors, preTokenizers: PRE_TOKENIZERS, createRandom, formats };
  try {
    await writeModel(MODELS[name].model(), folder, { seed, parts, signal: stop.signal, onProgress });
  } catch (error) {
    // Errors of the file system (a full disk, missing rights) are printed without a stack.
    throw error.code === undefined ? error : new StepFailed(error.message);
  } finally {
    onProgress.end();
  }
}
