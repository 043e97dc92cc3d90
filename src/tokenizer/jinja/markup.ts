import type { Budget } from './budget.ts';
import { replaceEach } from './piecewise.ts';
import { Undefined, type Value } from './python-values.ts';

/** A text that is marked as HTML. Chat templates print without escaping, but `+` escapes what is added to such a text. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** The filters whose results are marked as HTML. */
export const MAKES_MARKUP: ReadonlySet<string> = new Set(['safe', 'escape', 'e', 'forceescape']);

/** `left + right` when one of them is marked as HTML and both are texts; undefined otherwise. */
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

/** Escapes the characters `& < > " '` for HTML. */
export const escapeHtml = (text: string, budget: Budget): string =>
  replaceEach(text, /[&<>"']/g, (character) => ENTITIES[character], budget);
