import type { Budget } from '../budget.ts';
import { bind } from '../call-arguments.ts';
import { integer, text, truth } from '../conversions.ts';
import { boundedWidth, call, type Filters, isNothing, ofText } from './filter.ts';
import { length } from '../iteration.ts';
import { escapeHtml } from '../markup.ts';
import { formatPercent } from '../percent-format.ts';
import { inPieces } from '../piecewise.ts';
import { capitalize, eachWord, replace, splitLines, strip } from '../python-strings.ts';
import { Dict, Tuple } from '../python-values.ts';
import { str } from '../repr.ts';
import { substring } from '../slices.ts';
import { TemplateFault } from '../template-fault.ts';

/** Jinja's `title`: words begin after white space, hyphens and opening brackets. */
function titleWords(text: string, budget: Budget): string {
  return eachWord(text, /[^-\s({[<]+/gu, budget);
}

/** Spaces before each line but the first (`first`: that too), and not before empty ones (`blank`: these too). */
function indent(text: string, prefix: string, first: boolean, blank: boolean, budget: Budget): string {
  const [head = '', ...rest] = splitLines(`${text}\n`, false, budget);
  budget.text(text.length + prefix.length * (rest.length + 1));
  const lines = rest.map((line) => (line === '' && !blank ? line : prefix + line));
  return (first ? prefix : '') + [head, ...lines].join('\n');
}

/** Half of a pair has no UTF-8. */
function encodable(text: string): string {
  if (/\p{Cs}/u.test(text)) throw new TemplateFault("'utf-8' codec can't encode surrogates: not allowed");
  return text;
}

export const TEXT_FILTERS: Filters = {
  capitalize: ofText('capitalize', capitalize),
  center(value, args, budget) {
    const width = integer(bind('center', args, ['width'])[0], 80, 'center');
    return call(str(value, budget), 'center', [width], budget);
  },
  escape: ofText('escape', escapeHtml),
  format(value, { positional, named }, budget) {
    if (named.size > 0 && positional.length > 0)
      throw new TemplateFault("can't handle positional and keyword arguments at the same time");
    return formatPercent(str(value, budget), named.size > 0 ? new Dict(named) : new Tuple(positional), budget);
  },
  indent(value, args, budget) {
    const [width = 4, first = false, blank = false] = bind('indent', args, ['width', 'first', 'blank']);
    const prefix = typeof width === 'string' ? width : ' '.repeat(boundedWidth(width, budget));
    return indent(text(value, 'indent'), prefix, truth(first), truth(blank), budget);
  },
  lower: ofText('lower', (self) => self.toLowerCase()),
  replace(value, args, budget) {
    const [old, by, count] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(str(value, budget), str(old!, budget), str(by!, budget), integer(count, -1, 'replace'), budget);
  },
  safe: ofText('safe', (self) => self),
  string: ofText('string', (self) => self),
  title: ofText('title', titleWords),
  trim(value, args, budget) {
    const [characters] = bind('trim', args, ['chars']);
    return strip(str(value, budget), isNothing(characters) ? undefined : text(characters, 'trim'), true, true, budget);
  },
  truncate(value, args, budget) {
    const names = ['length', 'killwords', 'end', 'leeway'];
    const [size, whole = false, end = '...', leeway] = bind('truncate', args, names);
    const [most, ending] = [integer(size, 255, 'truncate'), text(end, 'truncate')];
    if (length(value) <= most + integer(leeway, 5, 'truncate')) return value;
    const kept = substring(text(value, 'truncate'), [0, most - length(ending)], budget);
    if (truth(whole)) return kept + ending;
    const space = kept.lastIndexOf(' ');
    return (space < 0 ? kept : kept.slice(0, space)) + ending;
  },
  upper: ofText('upper', (self) => self.toUpperCase()),
  urlencode: ofText('urlencode', (self, budget) =>
    inPieces(self, budget, (piece) =>
      encodeURIComponent(encodable(piece)).replace(/[!'()*]|%2F/g, (c) =>
        c === '%2F' ? '/' : `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    ),
  ),
  wordcount: ofText('wordcount', (self, budget) => {
    let count = 0;
    for (const words = self.matchAll(/[\p{L}\p{N}_]+/gu); !words.next().done; count++) budget.spend(2);
    return count;
  }),
};
