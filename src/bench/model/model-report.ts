import { writeFile } from 'node:fs/promises';
import { alignedRows } from '../write/aligned-rows.ts';
import type { ModelReport, ModelRow } from './model-bench.ts';

const HEADINGS = ['backend', 'weights', 'test', 'median', 'from', 'to', 'unit', 'of limit'];

/** The report for a terminal. */
export function modelTable(report: ModelReport): string {
  return `${[...about(report), '', ...alignedRows([HEADINGS, ...report.rows.map(cellsOf)])].join('\n')}\n`;
}

/** The report as Markdown. */
export function modelMarkdown(report: ModelReport): string {
  const lines = [HEADINGS, HEADINGS.map((_, i) => (i < 3 ? '---' : '---:')), ...report.rows.map(cellsOf)];
  return `${[...about(report), '', ...lines.map((cells) => `| ${cells.join(' | ')} |`)].join('\n')}\n`;
}

/** The report as CSV (RFC 4180), one line for each row, in the report's units. */
export function modelCsv({ model, rows }: ModelReport): string {
  const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map(({ backend, weights, dtype, weightBytes, test, tokens, depth, unit, value, attained }) =>
    [
      ...[model, backend, weights, dtype, weightBytes, test, tokens, depth],
      ...[value.median, value.low, value.high, unit, attained ?? ''],
    ]
      .map((cell) => quoted(String(cell)))
      .join(','),
  );
  const columns = 'model,backend,weights,dtype,weightBytes,test,tokens,depth,median,low,high,unit,attained';
  return [columns, ...lines, ''].join('\r\n');
}

/** The files to write a report to, by format; a format without a name is left out. */
export interface ModelReportFiles {
  readonly json?: string | undefined;
  readonly markdown?: string | undefined;
  readonly csv?: string | undefined;
}

/** The report as JSON, with all samples. */
export const modelJson = (report: ModelReport): string => `${JSON.stringify(report, null, 1)}\n`;

/** Writes a report to each file that has a name. */
export async function writeModelReport(report: ModelReport, { json, markdown, csv }: ModelReportFiles): Promise<void> {
  if (json !== undefined) await writeFile(json, modelJson(report));
  if (markdown !== undefined) await writeFile(markdown, modelMarkdown(report));
  if (csv !== undefined) await writeFile(csv, modelCsv(report));
}

function about({ fingerprint, memory, model, repetitions, rows }: ModelReport): string[] {
  const { cpu, cores, threads, load, node, backends, date } = fingerprint;
  const used = new Set(rows.map(({ backend }) => backends[backend] ?? backend));
  return [
    model,
    `${cpu}, ${cores} cores, ${threads} threads, load ${load.toFixed(1)}; Node ${node}; ${[...used].join('; ')}; ${date}`,
    `Medians of ${repetitions} processes, with 95% intervals. Memory can be read at ${(memory / 1e9).toFixed(1)} GB/s: ` +
      'the limit of decoding is one reading of the weights per token.',
  ];
}

function cellsOf({ backend, weights, dtype, test, tokens, depth, unit, value, attained }: ModelRow): string[] {
  const { median, low, high } = value;
  const digits = unit === 'tok/s' ? 1 : 2;
  return [
    backend,
    weights === dtype ? dtype : `${weights} (${dtype})`,
    nameOf({ test, tokens, depth }),
    ...[median, low, high].map((figure) => figure.toFixed(digits)),
    unit,
    attained === undefined ? '' : `${(100 * attained).toFixed(0)}%`,
  ];
}

/** `decode 128 behind 2048` */
function nameOf({ test, tokens, depth }: Pick<ModelRow, 'test' | 'tokens' | 'depth'>): string {
  const count = tokens === 0 ? '' : test === 'prefill' || test === 'decode' ? ` ${tokens}` : ` (${tokens})`;
  return `${test}${count}${depth === 0 ? '' : ` behind ${depth}`}`;
}
