// `npm run bench`: how fast a model reads a prompt and writes, beside what the machine's memory allows.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Bench } from 'tinybench';
import { type GeneratedToken, load, type Model, openModel } from 'vitrine';
import { machineOf } from './machine.ts';
import { type BenchOptions, benchOptions } from './options.ts';
import { promptOf } from './prompt.ts';
import { readBandwidth } from './read-bandwidth.ts';
import { type Summary, summarize } from './statistics.ts';

const options = benchOptions(process.argv.slice(2));
const { backend, weights, threads } = options;
const { load: loadTime, firstToken, peakRss } = measureLaunches(options);
const bandwidth = await readBandwidth();
const model = await load(options.model, { backend, weights, threads });
const { prefill, decode } = await measureRates(model, options);
const bytesPerToken = await weightBytesPerToken(model, options);
const limit = bandwidth / bytesPerToken;
const machine = machineOf(model);
model.dispose();

console.log(`${options.model}\n${machine.cpu}, ${machine.cores} cores; Node ${machine.node}; ${machine.backend}\n`);
printRows([
  ['', 'median', 'min', 'max'],
  row(`prefill of ${options.pp} tokens, tok/s`, prefill.rate, 1),
  row(`decode of ${options.tg} tokens, tok/s`, decode.rate, 1),
  row(`prompt of ${options.pp} to first token, s`, prefill.seconds, 2),
  row('launch to first token, s', firstToken, 2),
  row('load, s', loadTime, 2),
  row('peak memory, GB', peakRss, 2),
]);
console.log(
  `\nA token reads ${(bytesPerToken / 1e6).toFixed(0)} MB of weights. All cores together can read ` +
    `${(bandwidth / 1e9).toFixed(1)} GB/s,\nso no more than ${limit.toFixed(1)} tok/s: ` +
    `decode reaches ${((100 * decode.rate.median) / limit).toFixed(0)}% of that.`,
);
if (options.json !== undefined) {
  const figures = { prefill, decode, firstToken, load: loadTime, peakRss, bytesPerToken, readBandwidth: bandwidth };
  writeFileSync(options.json, `${JSON.stringify({ options, machine, ...figures }, null, 2)}\n`);
}

/** Load and first token in processes of their own, after one that fills the file cache. Seconds, and GB. */
function measureLaunches({ model, pp, backend, weights, threads, repetitions }: BenchOptions) {
  const program = fileURLToPath(new URL('launch.js', import.meta.url));
  const args = ['--model', model, '--pp', String(pp), '--backend', String(backend), '--weights', String(weights)];
  if (threads !== undefined) args.push('--threads', String(threads));
  const launch = () =>
    JSON.parse(execFileSync(process.execPath, [program, ...args], { encoding: 'utf8' })) as Record<string, number>;
  launch();
  const launches = Array.from({ length: repetitions }, launch);
  return {
    load: summarize(launches.map(({ load }) => load / 1000)),
    firstToken: summarize(launches.map(({ firstToken }) => firstToken / 1000)),
    peakRss: summarize(launches.map(({ peakRss }) => peakRss / 1e9)),
  };
}

/** Prefill: a prompt until its first token. Decode: the tokens after the first, from a prompt of one token. */
async function measureRates(model: Model, { pp, tg, repetitions }: BenchOptions) {
  const greedy = { temperature: 0, ignoreEos: true };
  const bench = new Bench({
    iterations: repetitions,
    time: 0,
    warmupIterations: 1,
    warmupTime: 0,
    retainSamples: true,
    throws: true,
  });
  bench.add('prefill', async () => {
    await model.generate(promptOf(model, pp), { ...greedy, maxTokens: 1 }).next();
  });
  let tokens: AsyncGenerator<GeneratedToken>;
  bench.add(
    'decode',
    async () => {
      while (!(await tokens.next()).done);
    },
    {
      beforeEach: async () => {
        tokens = model.generate(promptOf(model, 1), { ...greedy, maxTokens: tg + 1 });
        await tokens.next();
      },
    },
  );
  const [prefill, decode] = (await bench.run()).map(({ result }) => {
    if (!('latency' in result) || result.latency.samples === undefined) throw new Error('tinybench kept no samples.');
    return result.latency.samples.map((milliseconds) => milliseconds / 1000);
  });
  const figures = (seconds: readonly number[], count: number) => ({
    seconds: summarize(seconds),
    rate: summarize(seconds.map((time) => count / time)),
  });
  return { prefill: figures(prefill, pp), decode: figures(decode, tg) };
}

/** All weights, but for the rows that are not looked up in an embedding that no head shares. The cache is not counted. */
async function weightBytesPerToken({ weightBytes, config }: Model, { model, weights }: BenchOptions): Promise<number> {
  const { checkpoint } = await openModel(model);
  const ownHead = checkpoint.tensors.has('lm_head.weight') || !config.tieEmbeddings;
  const stored = checkpoint.naturalDType('model.embed_tokens.weight');
  await checkpoint.close();
  const isWide = weights === 'f32' || (weights === 'auto' && (stored === 'f32' || stored === 'f16'));
  return weightBytes - (ownHead ? config.vocabSize * config.dim * (isWide ? 4 : 2) : 0);
}

function row(name: string, { median, min, max }: Summary, digits: number): string[] {
  return [name, ...[median, min, max].map((value) => value.toFixed(digits))];
}

function printRows(rows: readonly (readonly string[])[]): void {
  for (const [name, ...values] of rows)
    console.log(name.padEnd(36) + values.map((value) => value.padStart(10)).join(''));
}
