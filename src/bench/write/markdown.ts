import type { Report } from '../run/report.ts';
import { casesOf, cellsOf, HEADINGS, inOrder, labelsOf, noiseOf, predictionLine, titleOf } from './columns.ts';

/** The report as Markdown: a table for each case, with the command that measures it again. */
export function toMarkdown(report: Report): string {
  const { fingerprint, limits, predictions } = report;
  const rowOf = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const headings = inOrder(HEADINGS);
  const sections = [
    `${fingerprint.cpu}, ${fingerprint.cores} cores; Node ${fingerprint.node}; ${Object.values(fingerprint.backends).join('; ')}; ${fingerprint.date}`,
    [
      rowOf(['threads', 'memory, GB/s', 'cache, GB/s', 'GFLOP/s', 'by']),
      rowOf(['---', '---', '---', '---', '---']),
      ...limits.map(({ threads, memory, cache, flops, product }) =>
        rowOf([String(threads), ...[memory, cache, flops].map((limit) => (limit / 1e9).toFixed(1)), product]),
      ),
    ].join('\n'),
  ];
  for (const rows of casesOf(report)) {
    const table = [headings, headings.map(() => '---'), ...rows.map((row) => inOrder(cellsOf(row)))];
    sections.push(
      `### ${titleOf(rows[0])}`,
      table.map(rowOf).join('\n'),
      [`\`${rows[0].command}\``, noiseOf(rows[0]), ...rows.map(labelsOf)].filter((part) => part !== '').join('; '),
    );
  }
  if (predictions.length > 0) sections.push(predictions.map((one) => `- ${predictionLine(one)}`).join('\n'));
  return `${sections.join('\n\n')}\n`;
}
