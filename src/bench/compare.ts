import { readFile } from 'node:fs/promises';
import { VitrineError } from '../errors.ts';
import { unlike } from './fingerprint.ts';
import { keyOf, type Report, type Row } from './report.ts';
import { type Estimate, estimateRatio } from './statistics.ts';
import { MIN_EFFECT, noiseFloor, type Verdict, verdictOf } from './verdict.ts';

/** The same measurement in two reports. */
export interface RowComparison {
  readonly before: Row;
  readonly after: Row;
  /** Of the time before; undefined where one of them was wrong. */
  readonly ratio: Estimate | undefined;
  /** The larger of the noise floors of the two: no smaller difference counts. */
  readonly noise: number;
  readonly verdict: Exclude<Verdict, 'BASE'>;
}

export interface Comparison {
  readonly rows: readonly RowComparison[];
  /** Rows that only one of the reports has. */
  readonly onlyBefore: readonly Row[];
  readonly onlyAfter: readonly Row[];
  /** Differences between the machines; empty where they are alike. */
  readonly unlike: readonly string[];
}

export interface CompareOptions {
  /** The least difference that counts. Default 0.05. */
  readonly minEffect?: number | undefined;
}

/** Reports of different machines, whose times say nothing of each other. */
export class UnlikeMachinesError extends VitrineError {
  override readonly name = 'UnlikeMachinesError';
}

/** Reads what `--json` wrote. @throws VitrineError for another file. */
export async function readReport(path: string): Promise<Report> {
  let report: unknown;
  try {
    report = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new VitrineError(
      `${path}: ${(error as Error).message}. Expected a file that \`vitrine bench --json\` wrote.`,
      {
        cause: error,
      },
    );
  }
  const { format, version, rows } = (report ?? {}) as Partial<Report>;
  if (format !== 'vitrine-bench' || version !== 1 || !Array.isArray(rows))
    throw new VitrineError(`${path}: expected a report of \`vitrine bench --json\`, version 1, got something else.`);
  return report as Report;
}

/**
 * What changed from one report to another, by the same rows. The two were not measured in turns, so what drifted in between
 * counts as a change: to compare two kernels, give one run both (`--variant`), or confirm what is found here.
 */
export function compare(before: Report, after: Report, { minEffect = MIN_EFFECT }: CompareOptions = {}): Comparison {
  const earlier = new Map(before.rows.map((row) => [keyOf(row), row]));
  const later = new Map(after.rows.map((row) => [keyOf(row), row]));
  const rows = after.rows.flatMap((row): RowComparison[] => {
    const known = earlier.get(keyOf(row));
    return known === undefined ? [] : [compareRows(known, row, minEffect)];
  });
  return {
    rows,
    onlyBefore: before.rows.filter((row) => !later.has(keyOf(row))),
    onlyAfter: after.rows.filter((row) => !earlier.has(keyOf(row))),
    unlike: unlike(before.fingerprint, after.fingerprint),
  };
}

function compareRows(before: Row, after: Row, minEffect: number): RowComparison {
  const floors = [before, after].map(({ control }) => (control === undefined ? 0 : noiseFloor(control)));
  const noise = Math.max(...floors);
  for (const verdict of ['WRONG', 'UNTRUSTED'] as const)
    if (after.verdict === verdict || (before.verdict === verdict && verdict === 'UNTRUSTED'))
      return { before, after, ratio: undefined, noise, verdict };
  if (before.seconds === undefined || after.seconds === undefined)
    return { before, after, ratio: undefined, noise, verdict: 'UNSURE' };
  const ratio = estimateRatio(before.samples, after.samples);
  return { before, after, ratio, noise, verdict: verdictOf(ratio, minEffect, noise) };
}
