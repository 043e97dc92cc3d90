import type { Report } from '../run/report.ts';
import { alignedRows } from './aligned-rows.ts';
import { casesOf, cellsOf, HEADINGS, inOrder, labelsOf, noiseOf, predictionLine, titleOf } from './columns.ts';

/** The report for a terminal: a table for each case, bars of the times, limits and predictions. */
export function toTable(report: Report): string {
  const { fingerprint, limits, overhead, predictions } = report;
  const machine = `${fingerprint.cpu}, ${fingerprint.cores} cores, load ${fingerprint.load.toFixed(1)}; Node ${fingerprint.node}`;
  const limitLines = limits.map(
    ({ threads, memory, cache, flops, product }) =>
      `limits with ${threads} ${threads === 1 ? 'thread' : 'threads'}: memory ${giga(memory)} GB/s, cache ${giga(cache)} GB/s, ` +
      `${giga(flops)} GFLOP/s (${product})`,
  );
  const own = `harness: ${nano(overhead.sample)} ns per sample and ${nano(overhead.call)} ns per call, of samples of 100 us or more`;
  const backends = Object.values(fingerprint.backends);
  const sections = [[machine, ...backends, ...limitLines, own].join('\n')];
  for (const rows of casesOf(report)) {
    const cells = rows.map(cellsOf);
    const slowest = Math.max(...rows.map(({ seconds }) => seconds?.median ?? 0));
    const bars = rows.map(({ seconds }) => (seconds === undefined ? '' : bar(seconds.median / slowest)));
    const lines = alignedRows([
      [...inOrder(HEADINGS).slice(0, -1), '', HEADINGS.kernels],
      ...cells.map((row, i) => [...inOrder(row).slice(0, -1), bars[i], row.kernels]),
    ]);
    sections.push(
      [titleOf(rows[0]), ...lines, ...rows.map(labelsOf), noiseOf(rows[0])].filter((line) => line !== '').join('\n'),
    );
  }
  if (predictions.length > 0) sections.push(predictions.map(predictionLine).join('\n'));
  return `${sections.join('\n\n')}\n`;
}

const BAR = 20;
const bar = (part: number): string => '#'.repeat(Math.max(1, Math.round(part * BAR)));
const giga = (perSecond: number): string => (perSecond / 1e9).toFixed(1);
const nano = (seconds: number): string => (1e9 * seconds).toFixed(0);
