import type { Budget } from '../budget.ts';
import { bindArguments } from '../call-arguments.ts';
import { requireInteger, requireText, isTruthy } from '../value-conversions.ts';
import { boundedWidth, callMethod, type Filters, isMissing, textFilter } from './filter.ts';
import { lengthOf } from '../iteration.ts';
import { escapeHtml } from '../markup.ts';
import { formatPercent } from '../percent-format.ts';
import { inPieces } from '../piecewise.ts';
import { capitalize, capitalizeWords, replace, splitLines, strip } from '../python-strings.ts';
import { Dict, Tuple } from '../python-values.ts';
import { str } from '../repr.ts';
import { substring } from '../slices.ts';
import { TemplateFault } from '../template-fault.ts';

/** Jinja's `title`: capitalizes words, which begin after white space, hyphens and opening brackets. */
function titleWords(text: string, budget: Budget): string {
  return capitalizeWords(text, /[^-\s({[<]+/gu, budget);
}

/** Puts `prefix` before each line, except the first unless `first` is set, and empty ones unless `blank` is set. */
function indent(text: string, prefix: string, first: boolean, blank: boolean, budget: Budget): string {
  const [head = '', ...rest] = splitLines(`${text}\n`, false, budget);
  budget.spendText(text.length + prefix.length * (rest.length + 1));
  const lines = rest.map((line) => (line === '' && !blank ? line : prefix + line));
  return (first ? prefix : '') + [head, ...lines].join('\n');
}

/** @throws {TemplateFault} when a text has half of a surrogate pair, which UTF-8 cannot encode. */
function encodable(text: string): string {
  if (/\p{Cs}/u.test(text)) throw new TemplateFault("'utf-8' codec can't encode surrogates: not allowed");
  return text;
}

/** The filters that make text. */
export const TEXT_FILTERS: Filters = {
  capitalize: textFilter('capitalize', capitalize),
  center(value, args, budget) {
    const width = requireInteger(bindArguments('center', args, ['width'])[0], 80, 'center');
    return callMethod(str(value, budget), 'center', [width], budget);
  },
  escape: textFilter('escape', escapeHtml),
  format(value, { positional, named }, budget) {
    if (named.size > 0 && positional.length > 0)
      throw new TemplateFault("can't handle positional and keyword arguments at the same time");
    return formatPercent(str(value, budget), named.size > 0 ? new Dict(named) : new Tuple(positional), budget);
  },
  indent(value, args, budget) {
    const [width = 4, first = false, blank = false] = bindArguments('indent', args, ['width', 'first', 'blank']);
    const prefix = typeof width === 'string' ? width : ' '.repeat(boundedWidth(width, budget));
    return indent(requireText(value, 'indent'), prefix, isTruthy(first), isTruthy(blank), budget);
  },
  lower: textFilter('lower', (self) => self.toLowerCase()),
  replace(value, args, budget) {
    const [old, by, count] = bindArguments('replace', args, ['old', 'new', 'count'], 2);
    return replace(
      str(value, budget),
      str(old!, budget),
      str(by!, budget),
      requireInteger(count, -1, 'replace'),
      budget,
    );
  },
  safe: textFilter('safe', (self) => self),
  string: textFilter('string', (self) => self),
  title: textFilter('title', titleWords),
  trim(value, args, budget) {
    const [characters] = bindArguments('trim', args, ['chars']);
    return strip(
      str(value, budget),
      isMissing(characters) ? undefined : requireText(characters, 'trim'),
      true,
      true,
      budget,
    );
  },
  truncate(value, args, budget) {
    const names = ['length', 'killwords', 'end', 'leeway'];
    const [size, whole = false, end = '...', leeway] = bindArguments('truncate', args, names);
    const [most, ending] = [requireInteger(size, 255, 'truncate'), requireText(end, 'truncate')];
    if (lengthOf(value) <= most + requireInteger(leeway, 5, 'truncate')) return value;
    const kept = substring(requireText(value, 'truncate'), [0, most - lengthOf(ending)], budget);
    if (isTruthy(whole)) return kept + ending;
    const space = kept.lastIndexOf(' ');
    return (space < 0 ? kept : kept.slice(0, space)) + ending;
  },
  upper: textFilter('upper', (self) => self.toUpperCase()),
  urlencode: textFilter('urlencode', (self, budget) =>
    inPieces(self, budget, (piece) =>
      encodeURIComponent(encodable(piece)).replace(/[!'()*]|%2F/g, (c) =>
        c === '%2F' ? '/' : `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    ),
  ),
  wordcount: textFilter('wordcount', (self, budget) => {
    let count = 0;
    for (const words = self.matchAll(/[\p{L}\p{N}_]+/gu); !words.next().done; count++) budget.spend(2);
    return count;
  }),
};
