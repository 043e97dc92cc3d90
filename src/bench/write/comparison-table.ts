import type { Comparison } from '../run/compare-reports.ts';
import { formatTime, percent, titleOf } from './columns.ts';
import { alignedRows } from './aligned-rows.ts';

/** A comparison for a terminal: one line for each row. */
export function comparisonTable({ rows, onlyBefore, onlyAfter }: Comparison): string {
  const lines = rows.map(({ before, after, ratio, noise, verdict }) => [
    `${before.suite} ${before.site} ${before.phase}`,
    before.variant,
    verdict,
    before.seconds ? formatTime(before.seconds) : before.verdict,
    after.seconds ? formatTime(after.seconds) : after.verdict,
    ratio ? `${percent(ratio.median)} [${percent(ratio.low)}, ${percent(ratio.high)}]` : '',
    `${(100 * noise).toFixed(1)}%`,
  ]);
  const table = alignedRows([['case', 'variant', 'verdict', 'before', 'after', 'change', 'noise'], ...lines]);
  const unmatched = [
    ...onlyBefore.map((row) => ['before', row] as const),
    ...onlyAfter.map((row) => ['after', row] as const),
  ];
  return `${[...table, ...unmatched.map(([when, row]) => `  only ${when}: ${titleOf(row)}, ${row.variant}`)].join('\n')}\n`;
}
