import type { Verdict } from '../timing/verdict.ts';

/** The exit codes of `vitrine bench`. */
export const EXIT = { fine: 0, slower: 1, wrong: 2, unsure: 3, unlike: 4 } as const;

/** The settings of `gate`. */
export interface GateOptions {
  /** Whether UNSURE fails too. Default false. */
  readonly failOnUnsure?: boolean | undefined;
}

/** The exit code for a list of verdicts, by the worst of them. */
export function gate(verdicts: readonly Verdict[], { failOnUnsure = false }: GateOptions = {}): number {
  if (verdicts.some((verdict) => verdict === 'WRONG' || verdict === 'UNTRUSTED')) return EXIT.wrong;
  if (verdicts.includes('SLOWER')) return EXIT.slower;
  return failOnUnsure && verdicts.includes('UNSURE') ? EXIT.unsure : EXIT.fine;
}
