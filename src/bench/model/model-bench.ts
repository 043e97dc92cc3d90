import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openModel } from '../../loader/open/open-model.ts';
import { planNetwork } from '../../engine/load/plan-network.ts';
import type { WeightOptions } from '../../engine/load/load-options.ts';
import { elements } from '../../tensor/dtype.ts';
import type { BackendName } from '../../tensor/backends.ts';
import { VitrineError } from '../../errors.ts';
import { fingerprint, type Fingerprint } from '../machine/fingerprint.ts';
import { modelHash } from '../subject/model-hash.ts';
import { memoryBandwidth } from '../machine/machine-limits.ts';
import { estimate, type Estimate } from '../timing/statistics.ts';
import type { LaunchFigures, LaunchSpec } from './model-launch.ts';

/** The settings of `benchModel`. */
export interface ModelBenchOptions {
  /** A folder, a GGUF file or a hub id. */
  readonly source: string;
  /** Tokens of the prompt. Default 512. */
  readonly pp?: number | undefined;
  /** Tokens generated. Default 128. */
  readonly tg?: number | undefined;
  /** Numbers of tokens in the cache before those. Default `[0]`. */
  readonly depths?: readonly number[] | undefined;
  /** Processes for each backend and weight format, after one that only warms the file cache. Default 5. */
  readonly repetitions?: number | undefined;
  /** Default `['auto']`. */
  readonly backends?: readonly (BackendName | 'auto')[] | undefined;
  /** Default `['auto']`. */
  readonly weights?: readonly NonNullable<WeightOptions['weights']>[] | undefined;
  /** Default: all cores. */
  readonly threads?: number | undefined;
  /** Called with a line about each process. */
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The measurement of a row. */
export type ModelTest = 'prefill' | 'decode' | 'first token' | 'launch to first token' | 'load' | 'peak memory';

/** One measurement of one backend with one weight format. */
export interface ModelRow {
  readonly backend: string;
  /** As asked for: `auto`. */
  readonly weights: string;
  /** The dtype of the embedding as loaded: `bf16`. */
  readonly dtype: string;
  readonly weightBytes: number;
  readonly test: ModelTest;
  /** Tokens of the prompt, or tokens generated; 0 for `load`. */
  readonly tokens: number;
  /** Tokens in the cache before those. */
  readonly depth: number;
  readonly unit: 'tok/s' | 's' | 'GB';
  readonly value: Estimate;
  /** One value of each process. */
  readonly samples: readonly number[];
  /** For `decode`: the measured rate, as a part of the rate at which memory can deliver the weights. */
  readonly attained: number | undefined;
}

/** The result of `benchModel`. */
export interface ModelReport {
  readonly format: 'vitrine-bench-model';
  readonly version: 1;
  readonly fingerprint: Fingerprint;
  /** Bytes per second that all threads together read from memory: the better of before and after the benchmark. */
  readonly memory: number;
  readonly model: string;
  readonly repetitions: number;
  readonly rows: readonly ModelRow[];
}

interface Configuration {
  readonly spec: LaunchSpec;
  readonly dtype: string;
  /** Bytes of weights that decoding a token reads. */
  readonly bytesPerToken: number;
  readonly figures: LaunchFigures[];
}

/**
 * Measures a whole model. Every sample comes from a process of its own, which loads the model, reads a prompt and generates;
 * the processes of the backends and weight formats alternate.
 *
 * @throws {VitrineError} when a process fails; the message is that of the process.
 */
export async function benchModel(options: ModelBenchOptions): Promise<ModelReport> {
  const { source, threads, pp = 512, tg = 128, depths = [0], repetitions = 5, signal } = options;
  const { backends = ['auto'], weights = ['auto'], onProgress = () => undefined } = options;
  const { hash, plans } = await plan(source, weights);
  const before = await memoryBandwidth(threads);
  const configurations = backends.flatMap((backend) =>
    plans.map(({ asked, ...known }): Configuration => {
      const spec = { source, backend, weights: asked, threads, pp, tg, depths };
      return { spec, ...known, figures: [] };
    }),
  );
  for (let round = 0; round <= repetitions; round++) {
    for (const { spec, figures } of configurations) {
      onProgress(`${spec.backend}, ${spec.weights}: process ${round} of ${repetitions}`);
      const measured = await launch(spec, signal);
      if (round > 0) figures.push(measured);
    }
  }
  const memory = Math.max(before, await memoryBandwidth(threads));
  return {
    format: 'vitrine-bench-model',
    version: 1,
    fingerprint: fingerprint({ threads, model: hash }),
    memory,
    model: source,
    repetitions,
    rows: configurations.flatMap((configuration) => modelRows(configuration, memory)),
  };
}

/** Plans the model once for each weight format, without reading weights. */
async function plan(source: string, weights: readonly NonNullable<WeightOptions['weights']>[]) {
  const files = await openModel(source);
  try {
    const plans = weights.map((asked) => {
      const { network, weightBytes } = planNetwork(files, { weights: asked });
      const { embed, lmHead } = network;
      // A token reads one row of an embedding that the head does not share.
      const lookedUp = lmHead.weight.name === embed.name ? 0 : elements(embed.shape) * (embed.dtype === 'f32' ? 4 : 2);
      return { asked, dtype: embed.dtype, bytesPerToken: weightBytes - lookedUp };
    });
    return { hash: await modelHash(files), plans };
  } finally {
    await files.checkpoint.close();
  }
}

const PROGRAM = fileURLToPath(new URL('../../../dist/bench/model/model-launch.js', import.meta.url));

async function launch(spec: LaunchSpec, signal: AbortSignal | undefined): Promise<LaunchFigures> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(spec)], { signal });
    return JSON.parse(stdout) as LaunchFigures;
  } catch (error) {
    signal?.throwIfAborted();
    const said = (error as { stderr?: string }).stderr?.split('\n').find((line) => /^\w*Error\b/.test(line));
    const { backend, weights } = spec;
    throw new VitrineError(
      `bench: the process with backend ${backend}, weights ${weights} failed: ${said ?? (error as Error).message}`,
    );
  }
}

/** The rows of a backend and weight format, in the order in which they are printed. */
export function modelRows({ spec, dtype, bytesPerToken, figures }: Configuration, memory: number): ModelRow[] {
  const { pp, tg, depths } = spec;
  const [{ backend, weightBytes }] = figures;
  const row = (
    test: ModelTest,
    [tokens, depth]: readonly [number, number],
    unit: ModelRow['unit'],
    of: (one: LaunchFigures) => number,
  ): ModelRow => {
    const samples = figures.map(of);
    const value = estimate(samples.map((sample) => [sample]));
    const attained = test === 'decode' ? (value.median * bytesPerToken) / memory : undefined;
    return {
      backend,
      weights: String(spec.weights),
      dtype,
      weightBytes,
      test,
      tokens,
      depth,
      unit,
      value,
      samples,
      attained,
    };
  };
  return [
    row('prefill', [pp, 0], 'tok/s', ({ firstToken }) => pp / firstToken),
    ...depths.map((depth, i) => row('decode', [tg, depth], 'tok/s', ({ decode }) => tg / decode[i])),
    row('first token', [pp, 0], 's', ({ firstToken }) => firstToken),
    row('launch to first token', [pp, 0], 's', ({ launch }) => launch),
    row('load', [0, 0], 's', ({ load }) => load),
    row('peak memory', [pp, 0], 'GB', ({ peakMemory }) => peakMemory / 1e9),
  ];
}
