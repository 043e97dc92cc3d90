import type { Verdict } from './verdict.ts';

/** Exit codes of `vitrine bench`, for scripts. */
export const EXIT = { fine: 0, slower: 1, wrong: 2, unsure: 3, unlike: 4 } as const;

export interface GateOptions {
  /** Whether an open verdict fails too. Default false. */
  readonly failOnUnsure?: boolean | undefined;
}

/** The exit code of some verdicts: the worst counts. */
export function gate(verdicts: readonly Verdict[], { failOnUnsure = false }: GateOptions = {}): number {
  if (verdicts.some((verdict) => verdict === 'WRONG' || verdict === 'UNTRUSTED')) return EXIT.wrong;
  if (verdicts.includes('SLOWER')) return EXIT.slower;
  return failOnUnsure && verdicts.includes('UNSURE') ? EXIT.unsure : EXIT.fine;
}
