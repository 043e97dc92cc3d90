import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openModel } from '../../loader/open-model.ts';
import { planNetwork } from '../../engine/load/plan-network.ts';
import type { WeightOptions } from '../../engine/load/load-options.ts';
import { elements } from '../../tensor/dtype.ts';
import { type BackendName } from '../../tensor/backends.ts';
import { VitrineError } from '../../errors.ts';
import { fingerprint, type Fingerprint } from '../fingerprint.ts';
import { modelHash } from '../model-hash.ts';
import { memoryBandwidth } from '../limits.ts';
import { estimate, type Estimate } from '../statistics.ts';
import type { LaunchFigures, LaunchSpec } from './launch.ts';

export interface ModelBenchOptions {
  readonly source: string;
  /** Tokens of the prompt. Default 512. */
  readonly pp?: number | undefined;
  /** Tokens generated. Default 128. */
  readonly tg?: number | undefined;
  /** Tokens in the cache before those. Default 0. */
  readonly depths?: readonly number[] | undefined;
  /** Processes for each backend and weight format, after one that fills the file cache and does not count. Default 5. */
  readonly repetitions?: number | undefined;
  /** Default `auto`. */
  readonly backends?: readonly (BackendName | 'auto')[] | undefined;
  /** Default `auto`. */
  readonly weights?: readonly NonNullable<WeightOptions['weights']>[] | undefined;
  readonly threads?: number | undefined;
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a row measures; rates are tokens per second. */
export type ModelTest = 'prefill' | 'decode' | 'first token' | 'launch to first token' | 'load' | 'peak memory';

export interface ModelRow {
  readonly backend: string;
  /** As asked for, and what matrices are then held in: `auto`, `bf16`. */
  readonly weights: string;
  readonly dtype: string;
  readonly weightBytes: number;
  readonly test: ModelTest;
  /** Tokens that the test is about: of the prompt, or generated. 0 for `load`. */
  readonly tokens: number;
  /** Tokens in the cache before. */
  readonly depth: number;
  readonly unit: 'tok/s' | 's' | 'GB';
  readonly value: Estimate;
  /** One of each process. */
  readonly samples: readonly number[];
  /** The part of the rate at which weights alone could be read from memory. Of `decode` only. */
  readonly attained: number | undefined;
}

export interface ModelReport {
  readonly format: 'vitrine-bench-model';
  readonly version: 1;
  readonly fingerprint: Fingerprint;
  /** Bytes per second that all threads together can read from memory: the better of before and after. */
  readonly memory: number;
  readonly model: string;
  readonly repetitions: number;
  readonly rows: readonly ModelRow[];
}

interface Configuration {
  readonly spec: LaunchSpec;
  readonly dtype: string;
  /** Bytes of weights that a token reads. */
  readonly bytesPerToken: number;
  readonly figures: LaunchFigures[];
}

/**
 * How fast a model is as a whole. Every sample is a process of its own, which loads the model, reads a prompt and writes;
 * processes of the backends and weight formats take turns.
 *
 * @throws VitrineError with what a process said that failed.
 */
export async function benchModel(options: ModelBenchOptions): Promise<ModelReport> {
  const { source, threads, pp = 512, tg = 128, depths = [0], repetitions = 5, signal } = options;
  const { backends = ['auto'], weights = ['auto'], onProgress = () => undefined } = options;
  const { hash, plans } = await plan(source, weights);
  const before = await memoryBandwidth(threads);
  const configurations = backends.flatMap(
    (backend) =>
    plans.map(({ asked, ...known }): Configuration => ({ spec: { source, backend, weights: asked, threads, pp, tg, depths }, ...known, figures: [] })), // prettier-ignore
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
    rows: configurations.flatMap((configuration) => rowsOf(configuration, memory)),
  };
}

async function plan(source: string, weights: readonly NonNullable<WeightOptions['weights']>[]) {
  const files = await openModel(source);
  try {
    const plans = weights.map((asked) => {
      const { network, weightBytes } = planNetwork(files, { weights: asked });
      const { embed, lmHead } = network;
      // Of an embedding that no head shares, a token reads a row.
      const lookedUp = lmHead.weight === embed ? 0 : elements(embed.shape) * (embed.dtype === 'f32' ? 4 : 2);
      return { asked, dtype: embed.dtype, bytesPerToken: weightBytes - lookedUp, figures: [] };
    });
    return { hash: await modelHash(files), plans };
  } finally {
    await files.checkpoint.close();
  }
}

const PROGRAM = fileURLToPath(new URL('../../../dist/bench/model/launch.js', import.meta.url));

async function launch(spec: LaunchSpec, signal: AbortSignal | undefined): Promise<LaunchFigures> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(spec)], { signal });
    return JSON.parse(stdout) as LaunchFigures;
  } catch (error) {
    signal?.throwIfAborted();
    const said = (error as { stderr?: string }).stderr?.split('\n').find((line) => /^\w*Error\b/.test(line));
    throw new VitrineError(`bench: the process with backend ${spec.backend}, weights ${spec.weights} failed: ${said ?? (error as Error).message}`); // prettier-ignore
  }
}

/** The rows of a configuration, in the order in which they are printed. */
export function rowsOf({ spec, dtype, bytesPerToken, figures }: Configuration, memory: number): ModelRow[] {
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
