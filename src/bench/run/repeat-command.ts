import type { CaseRun } from './case-runs.ts';
import type { RunOptions } from './run-options.ts';

/** The command line that measures a case again. */
export function repeatCommand(
  { model, phase, spec }: Pick<CaseRun, 'model' | 'phase' | 'spec'>,
  { cold, minEffect, threads, variants, files = [] }: RunOptions,
): string {
  const quoted = (text: string): string => (/^[\w./:@+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const flags: (readonly [string, string | number | undefined])[] = [
    ['--model', model.source],
    ['--shape', phase.name],
    ['--site', spec.site],
    ['--inputs', spec.distribution],
    ['--baseline', spec.variants[0].name],
    ['--variants', variants?.join(',')],
    ...files.map((file) => ['--variant', file] as const),
    ['--min-effect', minEffect === undefined ? undefined : 100 * minEffect],
    ['--threads', threads],
  ];
  const given = flags
    .filter(([, value]) => value !== undefined)
    .map(([flag, value]) => `${flag} ${quoted(String(value))}`);
  return ['vitrine bench', spec.suite, ...given, ...(cold === undefined ? [] : [cold ? '--cold' : '--warm'])].join(' ');
}
