import type { Budget } from './budget.ts';
import { replaceEach } from './piecewise.ts';
import { Undefined, type Value } from './python-values.ts';

/** Text that is HTML. Nothing escapes what a chat template prints, but `safe` still marks, and `+` still heeds it. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Filters whose result is HTML. */
export const MAKES_MARKUP: ReadonlySet<string> = new Set(['safe', 'escape', 'e', 'forceescape']);

/** `left + right` where one of them is HTML and both are text; undefined otherwise. */
export function addMarkup(left: Value | Markup, right: Value | Markup, budget: Budget): Markup | undefined {
  if (!(left instanceof Markup || right instanceof Markup)) return undefined;
  const [a, b] = [html(left, budget), html(right, budget)];
  if (a === undefined || b === undefined) return undefined;
  budget.spendText(a.length + b.length);
  return new Markup(a + b);
}

function html(value: Value | Markup, budget: Budget): string | undefined {
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) value.fail();
  return typeof value === 'string' ? escapeHtml(value, budget) : undefined;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

export const escapeHtml = (text: string, budget: Budget): string =>
  replaceEach(text, /[&<>"']/g, (character) => ENTITIES[character], budget);
