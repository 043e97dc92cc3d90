import { writeFile } from 'node:fs/promises';
import type { Report } from '../report.ts';
import { toCsv } from './csv.ts';
import { toMarkdown } from './markdown.ts';
import { toSvg } from './svg.ts';

/** Files to write a report to; each form that has a name. */
export interface ReportFiles {
  /** All samples and the fingerprint: what `compare` reads. */
  readonly json?: string | undefined;
  readonly markdown?: string | undefined;
  readonly csv?: string | undefined;
  readonly svg?: string | undefined;
}

export const toJson = (report: Report): string => `${JSON.stringify(report, null, 1)}\n`;

const FORMS = { json: toJson, markdown: toMarkdown, csv: toCsv, svg: toSvg } as const;

export async function writeReport(report: Report, files: ReportFiles): Promise<void> {
  for (const [form, write] of Object.entries(FORMS)) {
    const file = files[form as keyof ReportFiles];
    if (file !== undefined) await writeFile(file, write(report));
  }
}
