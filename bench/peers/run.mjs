// `npm run bench:peers`: the same model in this and in other engines, one after the other, round after round.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepare, root } from '../../scripts/bootstrap.mjs';

const USAGE = `Usage: npm run bench:peers [-- options]
  --model FOLDER   a folder in the Hugging Face layout (default: the default model)
  --gguf FILE      the same model as a GGUF file (default: the default model's; without it llama.cpp is left out)
  --only WORDS     rows whose name has one of these words, separated by commas; vitrine's first row always runs
  --pp N           tokens of the prompt (default 512)
  --tg N           tokens generated (default 64)
  -r N             rounds, after one that does not count (default 5)
  --threads N      of every engine (default: all cores)
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

/** What is compared, each with the way to it. The first is what the others are held against. */
const ROWS = [
  { name: 'vitrine', weights: 'bf16', start: () => ({ command: process.execPath, program: 'vitrine.mjs', settings: { model, weights: 'bf16' } }) }, // prettier-ignore
  { name: 'vitrine', weights: 'f32', start: () => ({ command: process.execPath, program: 'vitrine.mjs', settings: { model, weights: 'f32' } }) }, // prettier-ignore
  { name: 'node-llama-cpp', weights: 'as in the GGUF file', start: async () => node('node-llama-cpp', { model: await gguf(), context }) }, // prettier-ignore
  ...['Q8_0', 'BF16'].map((format) => ({
    name: 'node-llama-cpp',
    weights: format.toLowerCase(),
    start: async () => node('node-llama-cpp', { model: await setup.ensureWideGguf(await gguf(), format), context }),
  })),
  { name: 'pytorch', weights: 'bf16', start: () => python({ dtype: 'bfloat16' }) },
  { name: 'pytorch', weights: 'f32', start: () => python({ dtype: 'float32' }) },
  { name: 'transformers.js', weights: 'f32', start: async () => node('transformers-js', { model: await setup.ensureOnnx(model, 'fp32'), dtype: 'fp32' }) }, // prettier-ignore
];
const words = values.only?.split(',');
const chosen = ROWS.filter(({ name, weights }, i) => i === 0 || !words || words.some((word) => `${name} ${weights}`.includes(word))); // prettier-ignore

const tokenizer = await loadTokenizer(model);
const text = tokenizer.encode('Once upon a time, in a museum by the sea,');
const long = Array.from({ length: pp }, (_, i) => (i * 7919) % tokenizer.vocabSize);
const began = { date: new Date().toISOString(), load: loadavg()[0] };

const peers = [];
const leftOut = [];
for (const row of chosen) {
  try {
    peers.push(await startPeer(row));
  } catch (error) {
    leftOut.push(`${row.name}, ${row.weights}: ${error.message}`);
  }
}
for (let round = 0; round <= rounds; round++) {
  process.stderr.write(`bench:peers: round ${round} of ${rounds}\n`);
  // A different one begins each time, so that none always follows the same neighbour's heat.
  for (let i = 0; i < peers.length; i++) {
    const peer = peers[(i + round) % peers.length];
    if (peer.failed) continue;
    try {
      const prefill = await peer.ask(long, 1);
      const decode = await peer.ask(text, tg + 1);
      peer.tokens = decode.tokens;
      if (round > 0) peer.samples.push({ prefill: pp / prefill.first, decode: tg / decode.rest });
    } catch (error) {
      peer.failed = true;
      leftOut.push(`${peer.name}, ${peer.weights}: ${error.message}`);
    }
  }
}
for (const peer of peers) peer.stop();

const result = {
  model,
  options: { pp, tg, rounds, threads },
  machine: { cpu: cpus()[0].model.trim(), cores: availableParallelism(), node: process.version },
  date: began.date,
  load: [began.load, loadavg()[0]],
  rows: comparePeers(peers.filter(({ failed }) => !failed)),
  leftOut,
};
process.stdout.write(printPeers(result));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);

/** Starts a row's engine in a process of its own; it is ready when it has loaded the model. */
async function startPeer({ name, weights, start }) {
  const { command, program, settings } = await start();
  process.stderr.write(`bench:peers: starting ${name}, ${weights}\n`);
  const file = fileURLToPath(new URL(`engines/${program}`, import.meta.url));
  const begun = performance.now();
  const child = spawn(command, [file, JSON.stringify({ ...settings, threads })], { stdio: ['pipe', 'pipe', 'pipe'], cwd: join(root, 'bench', 'peers') }); // prettier-ignore
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => (complaint = (complaint + chunk).slice(-4000)));
  child.stdin.on('error', () => undefined); // Its end is told by what it says, or does not say.
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) throw new Error(`ended early: ${lastWords(complaint)}`);
      if (value.startsWith('{')) return JSON.parse(value);
    }
  };
  const { version } = await answer();
  return {
    name,
    weights,
    version,
    ready: (performance.now() - begun) / 1000,
    samples: [],
    tokens: [],
    failed: false,
    ask(prompt, count) {
      child.stdin.write(`${JSON.stringify({ prompt, count })}\n`);
      return answer();
    },
    stop: () => child.stdin.end(),
  };
}

/** The line of an engine's stderr that names the error. */
function lastWords(stderr) {
  const lines = stderr.split('\n').map((line) => line.trim());
  return (
    lines.findLast((line) => /^\w*Error\b/.test(line)) ?? lines.findLast((line) => line !== '') ?? 'no reason given'
  );
}
