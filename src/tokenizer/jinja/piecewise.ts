import type { Budget } from './budget.ts';

/** The cost of replacing one match. */
export const STEPS_PER_REPLACEMENT = 2;

/**
 * `text.replace(pattern, by)`, in pieces, so that the budget ends a text that grows before it is large.
 *
 * @param pattern A global expression whose matches are single characters, as the pieces may cut longer ones.
 */
export function replaceEach(text: string, pattern: RegExp, by: (found: string) => string, budget: Budget): string {
  return inPieces(text, budget, (piece) =>
    piece.replace(pattern, (found) => {
      budget.spend(STEPS_PER_REPLACEMENT);
      return by(found);
    }),
  );
}

/** UTF-16 units of a piece. */
const PIECE_LENGTH = 2 ** 16;

/** Changes a text in pieces that do not cut surrogate pairs. For changes that look at single characters. */
export function inPieces(text: string, budget: Budget, change: (piece: string) => string): string {
  budget.spendText(text.length);
  let changed = '';
  for (let from = 0; from < text.length;) {
    const end = Math.min(text.length, from + PIECE_LENGTH);
    const to = end < text.length && text.charCodeAt(end - 1) >> 10 === 0x36 ? end + 1 : end;
    const piece = change(text.slice(from, to));
    budget.spendText(piece.length);
    changed += piece;
    budget.checkLength(changed.length);
    from = to;
  }
  return changed;
}
