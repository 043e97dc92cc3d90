import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { openModel } from '../loader/open-model.ts';
import { VitrineError } from '../errors.ts';
import type { Compiled, LaneTimes } from './blocks.ts';
import { type EngineVariant, engineVariants } from './engine-variants.ts';
import { fingerprint, lastCacheBytes } from './fingerprint.ts';
import type { Distribution } from './distributions.ts';
import { bestOf, type Limits } from './limits.ts';
import { type CaseResult, type CaseSpec, type VariantSpec } from './measure.ts';
import { modelHash } from './model-hash.ts';
import { type ModelShapes, parsePhase, readShapes } from './model-shapes.ts';
import { predict } from './predict.ts';
import { inProcess } from './processes.ts';
import { record } from './recording.ts';
import type { Report, Row } from './report.ts';
import { blockRatios, estimate, type Estimate, median } from './statistics.ts';
import type { Case, Phase } from './suite.ts';
import { suiteOf } from './suites/index.ts';
import { MIN_EFFECT, noiseFloor, type Verdict, verdictOf } from './verdict.ts';
import { WEIGHT_FORMATS } from './weight-format.ts';

export interface RunOptions {
  /** Names of suites. */
  readonly suites: readonly string[];
  /** Models whose shapes are taken: folders, GGUF files, hub ids. */
  readonly models: readonly string[];
  /** `decode`, `decode:DEPTH`, `prefill:TOKENS`. Default `['decode']`. */
  readonly shapes?: readonly string[] | undefined;
  /** Default `['normal']`. */
  readonly inputs?: readonly Distribution[] | undefined;
  /** Only cases whose site contains one of these. Default: all. */
  readonly sites?: readonly string[] | undefined;
  /** Names of the engine's variants, or `['none']`. Default: all but `reference`, which is the oracle and far slower. */
  readonly variants?: readonly string[] | undefined;
  /** Files with kernels, which are variants too. */
  readonly files?: readonly string[] | undefined;
  /** What others are compared with. Default: the engine's first. */
  readonly baseline?: string | undefined;
  /** Whether weights are read from memory. Default: while a token is decoded. */
  readonly cold?: boolean | undefined;
  /** Processes at least, and at most: more are started while a verdict is open. Default 5 and 10. */
  readonly processes?: readonly [least: number, most: number] | undefined;
  /** Seconds that a case is timed in one process; up to four times that where the machine is noisy. Default 1. */
  readonly seconds?: number | undefined;
  /** The least difference that counts. Default 0.05. */
  readonly minEffect?: number | undefined;
  readonly threads?: number | undefined;
  readonly seed?: number | undefined;
  /** Whether the model itself is measured beside a prediction; its weights are read then. Default true. */
  readonly measureModel?: boolean | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A case of a run, and what its processes found out. */
interface Measured {
  readonly model: ModelShapes;
  readonly phase: Phase;
  readonly case: Case;
  readonly spec: CaseSpec;
  readonly results: CaseResult[];
}

/** Faster than a limit by more than this is not believed; limits are measured too, and others use the machine. */
const DISBELIEF = 1.3;

/**
 * Measures ops and compares their variants: see `docs/changing-a-kernel.md` for what is done and what the figures mean.
 *
 * @throws VitrineError for names that do not exist, models and kernels that cannot be read, and processes that end early.
 */
export async function run(options: RunOptions): Promise<Report> {
  const { onProgress = () => undefined, signal, threads = availableParallelism() } = options;
  const [least, most] = options.processes ?? [5, 10];
  const folder = await mkdtemp(join(tmpdir(), 'vitrine-bench-'));
  try {
    const { measured, hashes } = await casesOf(options, folder, onProgress);
    onProgress('measuring what the machine can do');
    const [single, first] = [await limitsOf(1, signal), await limitsOf(threads, signal)];
    const overhead = await inProcess(signal, (child) => child.ask({ kind: 'overhead' }));
    for (let round = 0; round < most; round++) {
      const open = measured.filter((one) => round < least || isOpen(one, options));
      if (open.length === 0) break;
      await inProcess(signal, async (child) => {
        for (const [index, one] of open.entries()) {
          onProgress(
            `process ${round + 1}: ${one.spec.suite} at ${one.case.site}, ${one.phase.name} (${index + 1} of ${open.length})`,
          );
          const spec = { ...one.spec, seed: one.spec.seed + 1000 * round };
          one.results.push(await child.ask({ kind: 'case', spec }));
        }
      });
    }
    onProgress('measuring what the machine can do, once more');
    // More threads do not do less; where it seems so, others used the machine.
    const best = bestOf(bestOf(first, await limitsOf(threads, signal)), single);
    const limits = threads === 1 ? [best] : [single, best];
    const rows = measured.flatMap((one) => rowsOf(one, options, best));
    return {
      format: 'vitrine-bench',
      version: 1,
      fingerprint: fingerprint({ threads: options.threads, model: hashes.join() }),
      limits,
      overhead,
      rows,
      predictions: await predict(
        rows,
        measured.map(({ model, phase }) => ({ model, phase })),
        options,
      ),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** In a process of its own, since TensorFlow takes a number of threads once per process. */
const limitsOf = (threads: number, signal: AbortSignal | undefined): Promise<Limits> =>
  inProcess(signal, (child) => child.ask({ kind: 'limits', threads }));

/** Every combination of model, shape, suite, site and inputs. */
async function casesOf(
  options: RunOptions,
  folder: string,
  onProgress: (text: string) => void,
): Promise<{ measured: Measured[]; hashes: string[] }> {
  const suites = options.suites.map(suiteOf);
  const phases = (options.shapes ?? ['decode']).map(parsePhase);
  const measured: Measured[] = [];
  const hashes: string[] = [];
  for (const source of options.models) {
    const model = await readShapes(source);
    hashes.push(await hashOf(source));
    for (const phase of phases)
      for (const distribution of options.inputs ?? ['normal']) {
        let recording: string | undefined;
        if (distribution === 'recorded') {
          onProgress(`recording activations of ${model.name}`);
          const hooks = suites.flatMap((suite) =>
            suite
              .cases(model, phase)
              .flatMap(({ site, sizes }) =>
                Object.values(suite.operands(sizes, site)).flatMap(({ hook }) => hook ?? []),
              ),
          );
          const tokens = Math.max(phase.tokens, phase.depth);
          recording = await record(folder, { source, hooks: [...new Set(hooks)], tokens, threads: options.threads });
        }
        for (const suite of suites)
          for (const one of suite.cases(model, phase)) {
            if (options.sites && !options.sites.some((part) => one.site.includes(part))) continue;
            const variants = variantsOf(suite.name, one, options);
            measured.push({
              model,
              phase,
              case: one,
              results: [],
              spec: {
                suite: suite.name,
                site: one.site,
                sizes: one.sizes,
                stored: one.stored,
                distribution,
                recording,
                coldBytes: (options.cold ?? phase.tokens === 1) ? 2 * lastCacheBytes() : 0,
                variants,
                milliseconds: 1000 * (options.seconds ?? 1),
                precision: (options.minEffect ?? MIN_EFFECT) / 4,
                threads: options.threads,
                seed: options.seed ?? 1,
              },
            });
          }
      }
  }
  if (measured.length === 0)
    throw new VitrineError(
      `bench: no case is left of ${options.suites.join(', ')} in ${options.models.join(', ')}: ` +
        'the model does not have the op, or --site leaves nothing over.',
    );
  return { measured, hashes };
}

async function hashOf(source: string): Promise<string> {
  const files = await openModel(source);
  try {
    return await modelHash(files);
  } finally {
    await files.checkpoint.close();
  }
}

/** Names that `variants` may hold: a backend stands for all that it has, and the way to store matrices for ops without any. */
const VARIANT_NAMES = ['tensorflow', ...WEIGHT_FORMATS.map((format) => `tensorflow-${format}`), 'reference', 'none'];

const PACKED_NAMES = ['tensorflow-mxfp4', 'tensorflow-fp8'];

/** The baseline first. */
function variantsOf(suite: string, one: Case, { variants, files = [], baseline }: RunOptions): VariantSpec[] {
  for (const name of variants ?? [])
    if (!VARIANT_NAMES.includes(name))
      throw new VitrineError(`bench: there is no variant "${name}". Choose ${VARIANT_NAMES.join(', ')}.`);
  const known = engineVariants(suiteOf(suite), one);
  // Of a model in codes, a matrix that has none is measured as it is stored.
  const inCase = (asked: string): string =>
    PACKED_NAMES.includes(asked) && !known.some(({ name }) => name === asked)
      ? `tensorflow-${one.stored ?? 'f32'}`
      : asked;
  const means = (asked: string, { name, backend }: EngineVariant): boolean =>
    asked === name || asked === backend || asked.startsWith(`${name}-`);
  const chosen = known.filter(
    (variant) => variants?.some((asked) => means(inCase(asked), variant)) ?? variant.name !== 'reference',
  );
  const own = files.map((file) => ({ name: fileName(file, files), file }));
  const all: VariantSpec[] = [...chosen, ...own];
  if (all.length === 0)
    throw new VitrineError('bench: there is nothing to measure. Name variants, or files with kernels.');
  if (baseline === undefined) return all;
  const first = own.find(({ name }) => name === baseline) ?? known.find((variant) => means(inCase(baseline), variant));
  if (first === undefined)
    throw new VitrineError(
      `bench ${suite}: --baseline ${baseline} is none of ${[...known, ...own].map(({ name }) => name).join(', ')}.`,
    );
  return [first, ...all.filter(({ name }) => name !== first.name)];
}

/** A file's name without its ending, or all of it where two would be the same. */
function fileName(file: string, files: readonly string[]): string {
  const short = (path: string): string => basename(path, extname(path));
  return files.filter((other) => short(other) === short(file)).length > 1 ? file : short(file);
}

/** Whether another process could still change a verdict. */
function isOpen(one: Measured, options: RunOptions): boolean {
  return comparisonsOf(one, options).some(({ verdict }) => verdict === 'UNSURE');
}

interface Comparison {
  readonly name: string;
  readonly ratio: Estimate | undefined;
  readonly control: Estimate | undefined;
  readonly verdict: Verdict;
}

function comparisonsOf({ spec, results }: Measured, { minEffect = MIN_EFFECT }: RunOptions): Comparison[] {
  const [base] = spec.variants;
  const cellsOf = (name: string): (number[] | undefined)[] =>
    results.map(({ variants }) => variants.find((one) => one.name === name)?.times?.cells);
  const baseCells = cellsOf(base.name);
  const ratios = (cells: readonly (number[] | undefined)[]): Estimate | undefined => {
    const processes = cells.map((own, i) => blockRatios(own ?? [], baseCells[i] ?? []));
    return processes.some((process) => process.length > 0) ? estimate(processes) : undefined;
  };
  const control = ratios(results.map((result) => result.control?.cells));
  const noise = control === undefined ? 0 : noiseFloor(control);
  return spec.variants.map(({ name }): Comparison => {
    const isWrong = results.some(({ variants }) => variants.some((one) => one.name === name && !one.check.ok));
    if (isWrong) return { name, ratio: undefined, control, verdict: 'WRONG' };
    if (name === base.name) return { name, ratio: undefined, control, verdict: 'BASE' };
    const ratio = ratios(cellsOf(name));
    // Without a right baseline there is nothing to compare with.
    return { name, ratio, control, verdict: ratio === undefined ? 'UNSURE' : verdictOf(ratio, minEffect, noise) };
  });
}

function rowsOf(one: Measured, options: RunOptions, limits: Limits): Row[] {
  const { model, phase, spec, results } = one;
  const { suite, site, sizes, distribution } = spec;
  return comparisonsOf(one, options).map(({ name, ratio, control, verdict }): Row => {
    const found = results.map(({ variants }) => variants.find((variant) => variant.name === name)!);
    const [{ weights, compute, kernels }] = found;
    const sum = (pick: (times: LaneTimes) => number): number =>
      found.reduce((total, { times }) => total + (times === undefined ? 0 : pick(times)), 0);
    const worst = found.reduce((a, b) => (b.check.worst.ofAllowed > a.check.worst.ofAllowed ? b : a)).check;
    const samples = verdict === 'WRONG' ? [] : found.map(({ times }) => times?.cells ?? []);
    const seconds = verdict === 'WRONG' ? undefined : estimate(samples);
    // Which experts a call reads differs from process to process.
    const [read, rest] = (['read', 'rest'] as const).map((key) => median(found.map(({ bytes }) => bytes[key])));
    const flops = suiteOf(suite).flops(sizes);
    const cold = spec.coldBytes > 0 && read > 0;
    const least = Math.max(flops / limits.flops, cold ? read / limits.memory : (read + rest) / limits.cache);
    const attained = seconds && least / seconds.median;
    return {
      suite,
      model: model.name,
      site,
      phase: phase.name,
      sizes,
      inputs: distribution,
      cold,
      calls: one.case.calls,
      variant: name,
      weights,
      stored: spec.stored,
      compute,
      kernels,
      check: worst,
      verdict: attained !== undefined && attained > DISBELIEF ? 'UNTRUSTED' : verdict,
      seconds,
      ratio,
      minEffect: options.minEffect ?? MIN_EFFECT,
      control,
      flops,
      bytes: read + rest,
      attained,
      taken: sum(({ samples: count }) => count),
      outliers: sum(({ outliers }) => outliers),
      pauses: { any: sum(({ pauses }) => pauses.any), major: sum(({ pauses }) => pauses.major) },
      compiled: worstCompiled(found.flatMap(({ times }) => times?.compiled ?? [])),
      samples,
      command: commandOf(one, options),
    };
  });
}

/** Of processes the one in which a function was optimised least, with the deoptimisations of all. */
function worstCompiled(found: readonly Compiled[]): Compiled | undefined {
  if (found.length === 0) return undefined;
  const worst = found.reduce((a, b) => (b.optimised < a.optimised ? b : a));
  return { ...worst, deopts: found.reduce((total, { deopts }) => total + deopts, 0) };
}

/** The command line that measures a case again. */
function commandOf(
  { model, phase, spec }: Measured,
  { cold, minEffect, threads, variants, files = [] }: RunOptions,
): string {
  const quoted = (text: string): string => (/^[\w./:@+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const flags: (readonly [string, string | number | undefined])[] = [
    ['--model', model.source],
    ['--shape', phase.name],
    ['--site', spec.site],
    ['--inputs', spec.distribution],
    ['--baseline', spec.variants[0].name],
    ['--variants', variants?.join(',')],
    ...files.map((file) => ['--variant', file] as const),
    ['--min-effect', minEffect === undefined ? undefined : 100 * minEffect],
    ['--threads', threads],
  ];
  const given = flags
    .filter(([, value]) => value !== undefined)
    .map(([flag, value]) => `${flag} ${quoted(String(value))}`);
  return ['vitrine bench', spec.suite, ...given, ...(cold === undefined ? [] : [cold ? '--cold' : '--warm'])].join(' ');
}
