import type { Budget } from './budget.ts';

/** What a character or a run of them costs that a function replaces. */
export const STEPS_PER_REPLACEMENT = 2;

/** `text.replace(pattern, by)` of a long text, piece by piece, so that what grows is known before it is large. */
export function replaceEach(text: string, pattern: RegExp, by: (found: string) => string, budget: Budget): string {
  return inPieces(text, budget, (piece) =>
    piece.replace(pattern, (found) => {
      budget.spend(STEPS_PER_REPLACEMENT);
      return by(found);
    }),
  );
}

/** Code units that are changed at a time. */
const PIECE = 2 ** 16;

/** A text that is changed character by character, in pieces that cut no pair in two. */
export function inPieces(text: string, budget: Budget, change: (piece: string) => string): string {
  budget.spendText(text.length);
  let changed = '';
  for (let from = 0; from < text.length;) {
    const end = Math.min(text.length, from + PIECE);
    const to = end < text.length && text.charCodeAt(end - 1) >> 10 === 0x36 ? end + 1 : end;
    const piece = change(text.slice(from, to));
    budget.spendText(piece.length);
    changed += piece;
    budget.checkLength(changed.length);
    from = to;
  }
  return changed;
}
