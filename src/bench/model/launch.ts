// A process of its own, as a user starts one, that measures a model once. Reads a LaunchSpec from its first argument and
// prints a LaunchFigures, both as JSON.
import { load } from '../../engine/load/load.ts';
import type { Model } from '../../engine/model.ts';
import type { LoadOptions } from '../../engine/load/load-options.ts';

export interface LaunchSpec extends Pick<LoadOptions, 'backend' | 'weights' | 'threads'> {
  readonly source: string;
  readonly pp: number;
  readonly tg: number;
  readonly depths: readonly number[];
}

/** Seconds, and bytes. */
export interface LaunchFigures {
  readonly backend: string;
  readonly weightBytes: number;
  readonly load: number;
  /** From the start of the process to the first token of a prompt. */
  readonly launch: number;
  /** Resident at most, until that token. */
  readonly peakMemory: number;
  /** From a prompt to its first token, by a process that has done it before. */
  readonly firstToken: number;
  /** Of the tokens after the first, at each depth. */
  readonly decode: readonly number[];
}

/** Tokens after which code is compiled and threads are awake. */
const WARM_UP = 8;

const spec = JSON.parse(process.argv[2]) as LaunchSpec;
process.stdout.write(`${JSON.stringify(await measure(spec))}\n`);

async function measure({ source, pp, tg, depths, ...options }: LaunchSpec): Promise<LaunchFigures> {
  const begun = performance.now(); // Since the process was launched, like all of its times.
  using model = await load(source, options);
  const loaded = performance.now();
  await generate(model, pp, 0);
  const launched = performance.now();
  const peakMemory = process.resourceUsage().maxRSS * 1024;
  await generate(model, 1, WARM_UP);
  const { first } = await generate(model, pp, 0);
  const decode: number[] = [];
  // An empty cache is one whose only token is the prompt's, as there has to be one.
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

/** Seconds from a prompt to its first token, and of `count` more. */
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
