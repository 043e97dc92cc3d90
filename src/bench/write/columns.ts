import type { Compiled } from '../timing/blocks.ts';
import type { Prediction, Report, Row } from '../run/report.ts';
import type { Estimate } from '../timing/statistics.ts';
import { noiseFloor } from '../timing/verdict.ts';

/** The figures of a row as text, for the terminal and for Markdown. */
export interface Cells {
  readonly variant: string;
  readonly verdict: string;
  readonly time: string;
  readonly ratio: string;
  readonly rate: string;
  readonly attained: string;
  readonly error: string;
  readonly kernels: string;
}

/** The cells in the order of the columns. */
export const inOrder = (cells: Cells): string[] => Object.values<string>({ ...cells });

/** The headings of the columns. */
export const HEADINGS: Cells = {
  variant: 'variant',
  verdict: 'verdict',
  time: 'time',
  ratio: 'of base',
  rate: 'GFLOP/s, GB/s',
  attained: 'of limit',
  error: 'error',
  kernels: 'kernels',
};

/** The figures of a row; empty where a row has none. */
export function cellsOf(row: Row): Cells {
  const { variant, verdict, seconds, ratio, flops, bytes, attained, check, kernels } = row;
  const trusted = verdict !== 'UNTRUSTED' && seconds !== undefined;
  return {
    variant,
    verdict,
    time: seconds === undefined ? '' : formatTime(seconds),
    ratio: ratio === undefined ? '' : `${percent(ratio.median)} [${percent(ratio.low)}, ${percent(ratio.high)}]`,
    rate: trusted ? `${rate(flops / seconds.median)}, ${rate(bytes / seconds.median)}` : '',
    attained: attained === undefined ? '' : `${(100 * attained).toFixed(0)}%`,
    error: check.ok ? check.worst.ofRow.toExponential(0) : check.reason,
    kernels: summaryOf(kernels),
  };
}

/** The title of a case: `linear at layers.*.mlp.down_proj of m, decode: T 1, K 1536, N 576; 30 calls; normal inputs`. */
export function titleOf({ suite, model, site, phase, sizes, inputs, cold, calls }: Row): string {
  const letters = Object.entries(sizes).map(([letter, size]) => `${letter} ${size}`);
  const weights = cold ? ', weights from memory' : '';
  return `${suite} at ${site} of ${model}, ${phase}: ${letters.join(', ')}; ${calls} calls; ${inputs} inputs${weights}`;
}

/** The baseline's ratio to itself, and the least difference that counts; empty if there was no control. */
export function noiseOf({ control, minEffect }: Row): string {
  if (control === undefined) return '';
  const counts = (100 * Math.max(minEffect, noiseFloor(control))).toFixed(1);
  const { median, low, high } = control;
  return `base against itself: ${percent(median)} [${percent(low)}, ${percent(high)}]; a difference counts from ${counts}% on`;
}

/**
 * Disturbances and compilation of a row: `my-kernel: of 320 samples 3 were outliers, 2 had a GC pause (1 a major one); code of
 * TurboFan, optimised in 100% of samples`. Empty if there was nothing to tell.
 */
export function labelsOf({ variant, taken, outliers, pauses, compiled }: Row): string {
  const happened = [
    outliers > 0 ? `${outliers} were outliers` : '',
    pauses.any > 0 ? `${pauses.any} had a GC pause${pauses.major > 0 ? ` (${pauses.major} a major one)` : ''}` : '',
  ].filter((part) => part !== '');
  const parts = [
    happened.length > 0 ? `of ${taken} samples ${happened.join(', ')}` : '',
    compiled === undefined ? '' : compilationOf(compiled),
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : `${variant}: ${parts.join('; ')}`;
}

function compilationOf({ tier, optimised, deopts }: Compiled): string {
  const lost = deopts === 0 ? '' : `, deoptimised ${deopts} ${deopts === 1 ? 'time' : 'times'}`;
  return `code of ${tier}, optimised in ${(100 * optimised).toFixed(0)}% of samples${lost}`;
}

/** The rows of a report, grouped by case. */
export function casesOf({ rows }: Pick<Report, 'rows'>): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const title = titleOf(row);
    groups.set(title, [...(groups.get(title) ?? []), row]);
  }
  return [...groups.values()];
}

/** A time in us, ms or s, by the size of its median: `1.23 ms [1.20, 1.30]`. */
export function formatTime({ median, low, high }: Estimate): string {
  const [scale, unit] = median < 1e-3 ? [1e6, 'us'] : median < 1 ? [1e3, 'ms'] : [1, 's'];
  const digits = (seconds: number): string => (seconds * scale).toPrecision(3);
  return `${digits(median)} ${unit} [${digits(low)}, ${digits(high)}]`;
}

/** A ratio as a signed difference: `+9.8%` for 1.098. */
export function percent(ratio: number): string {
  const difference = 100 * (ratio - 1);
  return `${difference < 0 ? '' : '+'}${difference.toFixed(Math.abs(difference) < 100 ? 1 : 0)}%`;
}

/** The speed by the measured ops and, if it was measured, of the model itself. */
export function predictionLine({ model, phase, variant, ops, predicted, measured }: Prediction): string {
  const parts = Object.entries(ops).map(([op, seconds]) => `${op} ${(1000 * seconds).toFixed(2)} ms`);
  const real =
    measured === undefined
      ? ''
      : `; the model itself: ${measured.median.toFixed(1)} tok/s [${measured.low.toFixed(1)}, ${measured.high.toFixed(1)}]`;
  return `${model}, ${phase}, ${variant}: ${parts.join(' + ')} per token = ${predicted.toFixed(1)} tok/s by these ops${real}`;
}

const rate = (perSecond: number): string => (perSecond / 1e9).toPrecision(3);

/** `WebAssembly linearBf16` or `TensorFlow Mul x3, TensorFlow Sub`. */
function summaryOf(kernels: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const kernel of kernels) counts.set(kernel, (counts.get(kernel) ?? 0) + 1);
  return [...counts].map(([kernel, count]) => (count === 1 ? kernel : `${kernel} x${count}`)).join(', ');
}
