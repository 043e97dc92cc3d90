import { writeFile } from 'node:fs/promises';
import type { Report } from '../run/report.ts';
import { toCsv } from './csv.ts';
import { toMarkdown } from './markdown.ts';
import { toSvg } from './svg.ts';

/** The files to write a report to, by format; a format without a name is left out. */
export interface ReportFiles {
  /** All samples and the fingerprint: what `compare` reads. */
  readonly json?: string | undefined;
  readonly markdown?: string | undefined;
  readonly csv?: string | undefined;
  readonly svg?: string | undefined;
}

/** The report as JSON, with all samples: the form that `compare` reads. */
export const toJson = (report: Report): string => `${JSON.stringify(report, null, 1)}\n`;

const FORMATS = { json: toJson, markdown: toMarkdown, csv: toCsv, svg: toSvg } as const;

/** Writes a report to each file that has a name. */
export async function writeReport(report: Report, files: ReportFiles): Promise<void> {
  for (const [format, write] of Object.entries(FORMATS)) {
    const file = files[format as keyof ReportFiles];
    if (file !== undefined) await writeFile(file, write(report));
  }
}
