import type { Report } from '../run/report.ts';

const COLUMNS = [
  'suite',
  'model',
  'site',
  'phase',
  'sizes',
  'inputs',
  'cold',
  'variant',
  'kernels',
  'verdict',
  'seconds',
  'seconds_low',
  'seconds_high',
  'ratio',
  'ratio_low',
  'ratio_high',
  'gflops',
  'gbps',
  'attained',
  'nmse',
  'worst_error_of_row',
  'samples',
  'outliers',
  'gc_pauses',
  'major_gc_pauses',
  'tier',
  'optimised',
  'deopts',
] as const;

/** The report as CSV (RFC 4180), one line for each row; figures that a row does not have are empty. */
export function toCsv({ rows }: Pick<Report, 'rows'>): string {
  const lines = rows.map((row) => {
    const { seconds, ratio, sizes, kernels, check, flops, bytes } = row;
    const figures: Record<(typeof COLUMNS)[number], string | number | boolean | undefined> = {
      ...row,
      sizes: Object.entries(sizes)
        .map(([letter, size]) => `${letter}=${size}`)
        .join(' '),
      kernels: kernels.join(' + '),
      seconds: seconds?.median,
      seconds_low: seconds?.low,
      seconds_high: seconds?.high,
      ratio: ratio?.median,
      ratio_low: ratio?.low,
      ratio_high: ratio?.high,
      gflops: seconds && flops / seconds.median / 1e9,
      gbps: seconds && bytes / seconds.median / 1e9,
      nmse: check.nmse,
      worst_error_of_row: check.worst.ofRow,
      samples: row.taken,
      gc_pauses: row.pauses.any,
      major_gc_pauses: row.pauses.major,
      tier: row.compiled?.tier,
      optimised: row.compiled?.optimised,
      deopts: row.compiled?.deopts,
    };
    return COLUMNS.map((column) => quoted(String(figures[column] ?? ''))).join(',');
  });
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
