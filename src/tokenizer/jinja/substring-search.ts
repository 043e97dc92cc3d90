import type { Budget } from './budget.ts';

/**
 * Up to this length of the searched part, JavaScript's search is fast for any text. For longer parts, its time can be the
 * product of both lengths (20 s for 10,000 characters in 4 million), and a deadline cannot stop it.
 */
const SHORT = 32;

/** The first position of `part` in `text` at or after `from`; -1 when there is none. Positions are in UTF-16 units. */
export function indexOf(text: string, part: string, from: number, budget: Budget): number {
  budget.spendText(text.length - from);
  if (part.length <= SHORT || part.length > text.length - from) return text.indexOf(part, from);
  for (const at of matches(text, part, from, budget)) return at;
  return -1;
}

/** The last position of `part` in `text`; -1 when there is none. */
export function lastIndexOf(text: string, part: string, budget: Budget): number {
  budget.spendText(text.length);
  if (part.length <= SHORT || part.length > text.length) return text.lastIndexOf(part);
  let last = -1;
  for (const at of matches(text, part, 0, budget)) last = at;
  return last;
}

/** The first `most` positions of `part` in `text`, without overlap. */
export function occurrences(text: string, part: string, most: number, budget: Budget): number[] {
  budget.spendText(text.length);
  const found: number[] = [];
  const keep = (at: number): boolean => {
    budget.spend(1);
    found.push(at);
    return found.length < most;
  };
  if (most <= 0 || part.length > text.length) return found;
  if (part.length <= SHORT) {
    for (let at = text.indexOf(part); at >= 0 && keep(at); at = text.indexOf(part, at + part.length));
    return found;
  }
  let end = 0;
  for (const at of matches(text, part, 0, budget)) {
    if (at < end) continue;
    if (!keep(at)) break;
    end = at + part.length;
  }
  return found;
}

/** The last `most` positions of `part` in `text`, without overlap, chosen from the end on; in ascending order. */
export function lastOccurrences(text: string, part: string, most: number, budget: Budget): number[] {
  budget.spendText(text.length);
  const found: number[] = [];
  if (most <= 0 || part.length > text.length) return found;
  if (part.length <= SHORT) {
    for (let at = text.lastIndexOf(part); at >= 0; at = text.lastIndexOf(part, at - part.length)) {
      budget.spend(1);
      found.push(at);
      if (found.length === most || at < part.length) break;
    }
    return found.reverse();
  }
  const all: number[] = [];
  for (const at of matches(text, part, 0, budget)) {
    budget.spend(1);
    all.push(at);
  }
  for (let end = text.length, i = all.length - 1; i >= 0 && found.length < most; i--) {
    if (all[i] + part.length > end) continue;
    found.push(all[i]);
    end = all[i];
  }
  return found.reverse();
}

/** All positions of `part` in `text`, overlapping ones included. The time is linear in the sum of the lengths. */
function* matches(text: string, part: string, from: number, budget: Budget): Generator<number> {
  budget.spendText(2 * part.length);
  // Knuth, Morris and Pratt: by position in the part, the length of its longest proper prefix that ends there.
  const border = new Int32Array(part.length);
  for (let i = 1, length = 0; i < part.length; i++) {
    const unit = part.charCodeAt(i);
    while (length > 0 && unit !== part.charCodeAt(length)) length = border[length - 1];
    if (unit === part.charCodeAt(length)) length += 1;
    border[i] = length;
  }
  for (let i = from, length = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    while (length > 0 && unit !== part.charCodeAt(length)) length = border[length - 1];
    if (unit === part.charCodeAt(length)) length += 1;
    if (length < part.length) continue;
    yield i - part.length + 1;
    length = border[length - 1];
  }
}
