// `npm run bench:peers` compares this engine with others on the same model, in rounds in which each runs once.
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { prepare } from '../../scripts/bootstrap.mjs';

const USAGE = `Usage: npm run bench:peers [-- options]
  --model FOLDER   a folder in the Hugging Face layout (default: the default model)
  --gguf FILE      the same model as a GGUF file (default: the default model's; without it llama.cpp is left out)
  --only WORDS     rows whose name has one of these words, separated by commas; vitrine's first row always runs
  --pp N           tokens of the prompt (default 512)
  --tg N           tokens generated (default 64)
  -r N             rounds, after one that does not count (default 5)
  --threads N      threads of every engine (default: all cores)
  --json FILE      write all samples there
`;
const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    gguf: { type: 'string' },
    only: { type: 'string' },
    pp: { type: 'string', default: '512' },
    tg: { type: 'string', default: '64' },
    rounds: { type: 'string', short: 'r', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const [pp, tg, rounds, threads] = ['pp', 'tg', 'rounds', 'threads'].map((name) => {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name}: expected a whole number from 1, got ${values[name]}\n\n${USAGE}`);
  process.exit(1);
});

const prepared = await prepare({ model: values.model === undefined });
const model = values.model ?? prepared.model;
const setup = await import('./prepare.mjs');
const { loadTokenizer } = await import('../../dist/index.js');
const { comparePeers, printPeers } = await import('./table.mjs');
const { takeTurns } = await import('./turns.mjs');
const gguf = () => {
  if (values.gguf !== undefined) return values.gguf;
  if (values.model === undefined) return setup.ensureDefaultGguf();
  throw new setup.Unavailable('no GGUF file of this model was given: name it with --gguf');
};
const node = (engine, settings) => {
  setup.ensureNodePackages();
  return { command: process.execPath, program: `${engine}.mjs`, settings };
};
const python = async (settings) => ({
  command: await setup.ensurePython('pytorch'),
  program: 'pytorch.py',
  settings: { model, ...settings },
});
const context = Math.max(pp, tg) + 128;

/** The rows, with how to start each. Ratios are to the first. */
const ROWS = [
  {
    name: 'vitrine',
    weights: 'bf16',
    start: () => ({ command: process.execPath, program: 'vitrine.mjs', settings: { model, weights: 'bf16' } }),
  },
  {
    name: 'vitrine',
    weights: 'f32',
    start: () => ({ command: process.execPath, program: 'vitrine.mjs', settings: { model, weights: 'f32' } }),
  },
  {
    name: 'node-llama-cpp',
    weights: 'as in the GGUF file',
    start: async () => node('node-llama-cpp', { model: await gguf(), context }),
  },
  ...['Q8_0', 'BF16'].map((format) => ({
    name: 'node-llama-cpp',
    weights: format.toLowerCase(),
    start: async () => node('node-llama-cpp', { model: await setup.ensureWideGguf(await gguf(), format), context }),
  })),
  { name: 'pytorch', weights: 'bf16', start: () => python({ dtype: 'bfloat16' }) },
  { name: 'pytorch', weights: 'f32', start: () => python({ dtype: 'float32' }) },
  {
    name: 'transformers.js',
    weights: 'f32',
    start: async () => node('transformers-js', { model: await setup.ensureOnnx(model, 'fp32'), dtype: 'fp32' }),
  },
];
const words = values.only?.split(',');
const chosen = ROWS.filter(
  ({ name, weights }, i) => i === 0 || !words || words.some((word) => `${name} ${weights}`.includes(word)),
);

const tokenizer = await loadTokenizer(model);
const text = tokenizer.encode('Once upon a time, in a museum by the sea,');
const long = Array.from({ length: pp }, (_, i) => (i * 7919) % tokenizer.vocabSize);
const began = { date: new Date().toISOString(), load: loadavg()[0] };

const { peers, leftOut } = await takeTurns(chosen, { prompts: { long, text }, tg, rounds, threads });

const result = {
  model,
  options: { pp, tg, rounds, threads },
  machine: { cpu: cpus()[0].model.trim(), cores: availableParallelism(), node: process.version },
  date: began.date,
  load: [began.load, loadavg()[0]],
  rows: comparePeers(peers),
  leftOut,
};
process.stdout.write(printPeers(result));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
