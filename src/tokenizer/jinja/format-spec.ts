import type { Budget } from './budget.ts';
import { codePoints, substring } from './slices.ts';
import { TemplateFault } from './template-fault.ts';

/** Python's format specification, as far as it concerns text and numbers. */
export interface FormatSpec {
  readonly fill?: string | undefined;
  readonly align?: string | undefined;
  readonly sign?: string | undefined;
  readonly alternate?: boolean;
  readonly width?: number;
  readonly grouping?: string | undefined;
  readonly precision?: number | undefined;
  readonly type?: string | undefined;
}

/** The cost of one replacement field. */
export const STEPS_PER_PLACE = 10;

/** Wraps the replacers of one format string to spend the length of their results: a short format can name a long text many times. */
export function spendOnReplacements(budget: Budget) {
  let length = 0;
  return <Match extends unknown[]>(show: (...match: Match) => string) =>
    (...match: Match): string => {
      const shown = show(...match);
      length += shown.length;
      budget.checkLength(length);
      budget.spendText(shown.length);
      return shown;
    };
}

/** The first `precision` code points of a text; all when undefined. */
export const truncate = (text: string, precision: number | undefined, budget: Budget): string =>
  precision === undefined ? text : substring(text, [0, Math.max(0, precision)], budget);

/** Pads a text to a width in code points. @throws {TemplateFault} when `fill` is not one character. */
export function pad(text: string, { fill = ' ', align = '>', width = 0 }: FormatSpec, budget: Budget): string {
  budget.spendText(text.length);
  const missing = width - codePoints(text);
  if (missing <= 0) return text;
  if (codePoints(fill) !== 1) throw new TemplateFault('The fill character must be exactly one character long');
  budget.spendText(text.length + fill.length * missing);
  const before = align === '<' ? 0 : align === '^' ? Math.floor(missing / 2) : missing;
  return fill.repeat(before) + text + fill.repeat(missing - before);
}
