import { VitrineError } from '../../errors.ts';
import type { CaseResult, CaseSpec } from '../cases/case-spec.ts';
import { record } from '../inputs/recording.ts';
import { lastCacheBytes } from '../machine/fingerprint.ts';
import { type ModelShapes, readShapes } from '../subject/model-shapes.ts';
import { parsePhase, type Phase } from '../subject/phase.ts';
import { suiteOf } from '../suites/all-suites.ts';
import type { Case, Suite } from '../suites/suite.ts';
import { MIN_EFFECT } from '../timing/verdict.ts';
import { chosenVariants } from './chosen-variants.ts';
import type { RunOptions } from './run-options.ts';

/** A case of a run, with the results of its processes so far. */
export interface CaseRun {
  readonly model: ModelShapes;
  readonly phase: Phase;
  /** Calls in one pass of the model. */
  readonly calls: number;
  readonly spec: CaseSpec;
  readonly results: CaseResult[];
}

/**
 * Every combination of model, phase, distribution, suite and site.
 *
 * @param folder A folder for recordings
 * @throws {VitrineError} when a name is unknown, a model cannot be read, or no case is left.
 */
export async function planCases(options: RunOptions, folder: string): Promise<CaseRun[]> {
  const suites = options.suites.map(suiteOf);
  const phases = (options.shapes ?? ['decode']).map(parsePhase);
  const runs: CaseRun[] = [];
  for (const source of options.models) {
    const model = await readShapes(source);
    for (const phase of phases)
      for (const distribution of options.inputs ?? ['normal']) {
        const recording =
          distribution === 'recorded' ? await recordInputs(suites, model, phase, options, folder) : undefined;
        for (const suite of suites)
          for (const one of suite.cases(model, phase)) {
            if (options.sites && !options.sites.some((part) => one.site.includes(part))) continue;
            const spec = specOf(suite, one, phase, options);
            const run = { model, phase, calls: one.calls, spec: { ...spec, distribution, recording }, results: [] };
            runs.push(run);
          }
      }
  }
  if (runs.length === 0)
    throw new VitrineError(
      `bench: no case is left of ${options.suites.join(', ')} in ${options.models.join(', ')}: ` +
        'the model does not have the op, or --site leaves nothing over.',
    );
  return runs;
}

function specOf(
  suite: Suite,
  one: Case,
  phase: Phase,
  options: RunOptions,
): Omit<CaseSpec, 'distribution' | 'recording'> {
  return {
    suite: suite.name,
    site: one.site,
    sizes: one.sizes,
    stored: one.stored,
    coldBytes: (options.cold ?? phase.tokens === 1) ? 2 * lastCacheBytes() : 0,
    variants: chosenVariants(suite, one, options),
    milliseconds: 1000 * (options.seconds ?? 1),
    precision: (options.minEffect ?? MIN_EFFECT) / 4,
    threads: options.threads,
    seed: options.seed ?? 1,
  };
}

/** Records the activations of all operands that have a hook point; gives the recording's path. */
function recordInputs(
  suites: readonly Suite[],
  model: ModelShapes,
  phase: Phase,
  { threads, onProgress }: RunOptions,
  folder: string,
): Promise<string> {
  onProgress?.(`recording activations of ${model.name}`);
  const hooks = suites.flatMap((suite) =>
    suite
      .cases(model, phase)
      .flatMap(({ site, sizes }) => Object.values(suite.operands(sizes, site)).flatMap(({ hook }) => hook ?? [])),
  );
  const tokens = Math.max(phase.tokens, phase.depth);
  return record(folder, { source: model.source, hooks: [...new Set(hooks)], tokens, threads });
}
