// A program that measures a model once, in a process started as a user starts one. It reads a LaunchSpec from its first argument
// and prints a LaunchFigures, both as JSON.
import { load } from '../../engine/load/load.ts';
import type { Model } from '../../engine/model.ts';
import type { LoadOptions } from '../../engine/load/load-options.ts';

/** The model to measure, and the numbers of tokens. */
export interface LaunchSpec extends Pick<LoadOptions, 'backend' | 'weights' | 'threads'> {
  /** A folder, a GGUF file or a hub id. */
  readonly source: string;
  /** Tokens of the prompt. */
  readonly pp: number;
  /** Tokens to generate at each depth. */
  readonly tg: number;
  /** Numbers of tokens in the cache before those. */
  readonly depths: readonly number[];
}

/** The measurements of one process. */
export interface LaunchFigures {
  /** The backend that ran. */
  readonly backend: string;
  readonly weightBytes: number;
  /** Seconds of `load`. */
  readonly load: number;
  /** Seconds from the start of the process to the first token of a prompt. */
  readonly launch: number;
  /** The most resident bytes until that token. */
  readonly peakMemory: number;
  /** Seconds from a prompt to its first token, after a warm-up. */
  readonly firstToken: number;
  /** For each depth, seconds of the `tg` tokens after the first. */
  readonly decode: readonly number[];
}

/** Tokens of the warm-up: by then code is compiled, and threads are awake. */
const WARM_UP = 8;

const spec = JSON.parse(process.argv[2]) as LaunchSpec;
process.stdout.write(`${JSON.stringify(await measure(spec))}\n`);

async function measure({ source, pp, tg, depths, ...options }: LaunchSpec): Promise<LaunchFigures> {
  const begun = performance.now(); // The process's clock starts at its launch.
  using model = await load(source, options);
  const loaded = performance.now();
  await generate(model, pp, 0);
  const launched = performance.now();
  const peakMemory = process.resourceUsage().maxRSS * 1024;
  await generate(model, 1, WARM_UP);
  const { first } = await generate(model, pp, 0);
  const decode: number[] = [];
  // A prompt has at least one token, so depth 0 is measured with one in the cache.
  for (const depth of depths) decode.push((await generate(model, Math.max(1, depth), tg)).rest);
  const { weightBytes, backend } = model;
  return {
    backend: backend.name,
    weightBytes,
    load: (loaded - begun) / 1000,
    launch: launched / 1000,
    peakMemory,
    firstToken: first,
    decode,
  };
}

/** Generates `count` tokens after the first; gives the seconds until the first, and of the rest. */
async function generate(model: Model, promptTokens: number, count: number): Promise<{ first: number; rest: number }> {
  const { vocabSize } = model.config;
  const prompt = Array.from({ length: promptTokens }, (_, i) => (i * 7919) % vocabSize);
  const tokens = model.generate(prompt, { maxTokens: count + 1, temperature: 0, ignoreEos: true });
  const start = performance.now();
  await tokens.next();
  const first = performance.now();
  while (!(await tokens.next()).done);
  return { first: (first - start) / 1000, rest: (performance.now() - first) / 1000 };
}
