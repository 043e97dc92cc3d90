import type { Limits } from '../machine/machine-limits.ts';
import { suiteOf } from '../suites/all-suites.ts';
import type { Compiled, LaneTimes } from '../timing/blocks.ts';
import { blockRatios, estimate, type Estimate, median } from '../timing/statistics.ts';
import { MIN_EFFECT, noiseFloor, type Verdict, verdictOf } from '../timing/verdict.ts';
import type { CaseRun } from './case-runs.ts';
import { repeatCommand } from './repeat-command.ts';
import type { Row } from './report.ts';
import type { RunOptions } from './run-options.ts';

/** A time below what a limit allows is believed up to this factor: limits are measured too, on a machine that others use. */
const DISBELIEF = 1.3;

/** Whether another process could still change a verdict of the case. */
export const isOpen = (run: CaseRun, options: Pick<RunOptions, 'minEffect'>): boolean =>
  judge(run, options).some(({ verdict }) => verdict === 'UNSURE');

/** The rows of a case, one for each variant, from the results of all its processes. */
export function rowsOf(run: CaseRun, options: RunOptions, limits: Limits): Row[] {
  const { model, phase, calls, spec, results } = run;
  const { suite, site, sizes, distribution } = spec;
  return judge(run, options).map(({ name, ratio, control, verdict }): Row => {
    const found = results.map(({ variants }) => variants.find((variant) => variant.name === name)!);
    const [{ weights, compute, kernels }] = found;
    const sum = (pick: (times: LaneTimes) => number): number =>
      found.reduce((total, { times }) => total + (times === undefined ? 0 : pick(times)), 0);
    const worst = found.reduce((a, b) => (b.check.worst.ofAllowed > a.check.worst.ofAllowed ? b : a)).check;
    const samples = verdict === 'WRONG' ? [] : found.map(({ times }) => times?.cells ?? []);
    const seconds = verdict === 'WRONG' ? undefined : estimate(samples);
    // The experts that a call reads differ from process to process.
    const [read, rest] = (['read', 'rest'] as const).map((key) => median(found.map(({ bytes }) => bytes[key])));
    const flops = suiteOf(suite).flops(sizes);
    const cold = spec.coldBytes > 0 && read > 0;
    const least = Math.max(flops / limits.flops, cold ? read / limits.memory : (read + rest) / limits.cache);
    const attained = seconds === undefined ? undefined : least / seconds.median;
    return {
      suite,
      model: model.name,
      site,
      phase: phase.name,
      sizes,
      inputs: distribution,
      cold,
      calls,
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
      command: repeatCommand(run, options),
    };
  });
}

/** A variant compared with the baseline. */
interface Judged {
  readonly name: string;
  readonly ratio: Estimate | undefined;
  readonly control: Estimate | undefined;
  readonly verdict: Verdict;
}

function judge({ spec, results }: CaseRun, { minEffect = MIN_EFFECT }: Pick<RunOptions, 'minEffect'>): Judged[] {
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
  return spec.variants.map(({ name }): Judged => {
    const isWrong = results.some(({ variants }) => variants.some((one) => one.name === name && !one.check.ok));
    if (isWrong) return { name, ratio: undefined, control, verdict: 'WRONG' };
    if (name === base.name) return { name, ratio: undefined, control, verdict: 'BASE' };
    const ratio = ratios(cellsOf(name));
    // A wrong baseline has no times, so there is no ratio.
    return { name, ratio, control, verdict: ratio === undefined ? 'UNSURE' : verdictOf(ratio, minEffect, noise) };
  });
}

/** The compilation in the process that optimised the function least, with the deoptimisations of all processes. */
function worstCompiled(found: readonly Compiled[]): Compiled | undefined {
  if (found.length === 0) return undefined;
  const worst = found.reduce((a, b) => (b.optimised < a.optimised ? b : a));
  return { ...worst, deopts: found.reduce((total, { deopts }) => total + deopts, 0) };
}
