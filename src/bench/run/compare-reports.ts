import { readFile } from 'node:fs/promises';
import { VitrineError } from '../../errors.ts';
import { unlike } from '../machine/fingerprint.ts';
import { keyOf, type Report, type Row } from './report.ts';
import { type Estimate, estimateRatio } from '../timing/statistics.ts';
import { MIN_EFFECT, noiseFloor, type Verdict, verdictOf } from '../timing/verdict.ts';

/** A row that both reports have. */
export interface RowComparison {
  readonly before: Row;
  readonly after: Row;
  /** After / before; undefined if one of them has no time. */
  readonly ratio: Estimate | undefined;
  /** The larger of the two noise floors; a smaller difference does not count. */
  readonly noise: number;
  readonly verdict: Exclude<Verdict, 'BASE'>;
}

/** Two reports compared row by row. */
export interface Comparison {
  /** Rows that both reports have. */
  readonly rows: readonly RowComparison[];
  /** Rows that only the first report has. */
  readonly onlyBefore: readonly Row[];
  /** Rows that only the second report has. */
  readonly onlyAfter: readonly Row[];
  /** Differences between machines and settings that forbid a comparison, in words: see `unlike`. */
  readonly unlike: readonly string[];
}

/** The settings of `compare`. */
export interface CompareOptions {
  /** The least difference that counts, as a part of 1. Default 0.05. */
  readonly minEffect?: number | undefined;
}

/** Reads a report that `--json` wrote. @throws {VitrineError} when the file is none. */
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
 * Compares the rows that two reports have in common. The two were measured at different times, so a drift of the machine counts as
 * a change: to compare two kernels, measure both in one run (`--variant`), or confirm the result that way.
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
