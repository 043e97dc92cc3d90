import { readdirSync, readFileSync } from 'node:fs';
import { renderTemplate } from '../dist/index.js';

/** @typedef {import('./random.mjs').Random} Random */

const PUBLISHED = new URL('../test/fixtures/templates/published/', import.meta.url);
const published = readdirSync(PUBLISHED)
  .filter((name) => name.endsWith('.jinja'))
  .map((name) => readFileSync(new URL(name, PUBLISHED), 'utf8'));
const pieces = published.flatMap((text) => text.split(/(?=\{[%{#])|(?<=[%}#]\})/));

/**
 * Productions for a text (T), a list (L), a dict (D), a number (N), a boolean (B) or anything (A); capitals in them are
 * expanded.
 */
const GRAMMAR = {
  T: [
    ...[
      'T ~ A',
      'T + T',
      'T * N',
      'T[N]',
      'T[N:]',
      'T[::-1]',
      'A | string',
      'A | tojson',
      'A | tojson(indent=N)',
      'x',
      'ns.t',
    ],
    ...[
      'T | upper',
      'T | title',
      'T | capitalize',
      'T | escape',
      'T | urlencode',
      'T | trim(T)',
      'T | indent(N)',
      'T | first',
    ],
    ...[
      'T | replace(T, T)',
      'T | truncate(N)',
      'T | center(N)',
      'T | format(A, A)',
      'L | join(T)',
      'L | map("string") | join(T)',
    ],
    ...[
      'T.replace(T, T, N)',
      'T.strip(T)',
      'T.rstrip()',
      'T.center(N, "x")',
      'T.zfill(N)',
      'T.format(A, A)',
      'T % (A, A)',
    ],
    ...[
      'T.join(L | map("string"))',
      'T.removeprefix(T)',
      'T.swapcase()',
      'T.partition(T)[N]',
      'strftime_now(T)',
      'f(A, A)',
    ],
    ...[
      "'a' * 4000000",
      "'é😀' * 1000000",
      "'%s{}' * 500000",
      "' a\\n' * 900000",
      "'b' * 99999 ~ 'a' * 99999",
      "'a'",
      "''",
    ],
  ],
  L: [
    ...[
      '[A, A, A]',
      '(A, A)',
      'L + L',
      'L * N',
      'L[N:]',
      'L[::-1]',
      'T.split(T)',
      'T.split()',
      'T.rsplit(T, N)',
      'T.splitlines()',
    ],
    ...[
      'L | sort',
      'L | unique | list',
      'L | reverse | list',
      'L | groupby(0)',
      'L | batch(N) | list',
      'L | slice(N) | list',
    ],
    ...[
      'L | map("upper") | list',
      'L | map(attribute=N) | list',
      'L | select("eq", A) | list',
      'L | selectattr("a") | list',
    ],
    ...[
      'range(N) | list',
      'range(100000)',
      'T | list',
      'D.items() | list',
      'D.values()',
      'D | dictsort',
      'ns.l',
      'messages',
      'y',
    ],
    ...[
      '(range(100000) | list) * 9',
      '[[1, 2]] * 900000',
      "('a b ' * 900000).split()",
      '[x] * 1000',
      'L | map("string")',
    ],
  ],
  D: ['{}', '{A: A}', 'dict(a=A, b=A)', '{T: A, N: A, (A, A): A}', 'dict(**D)', 'messages[0]', 'D.copy()'],
  N: [
    ...[
      'N + N',
      'N * N',
      'N // N',
      'N % N',
      '2 ** N',
      '-N',
      'T | length',
      'L | length',
      'T.find(T)',
      'T.rfind(T)',
      'T.count(T)',
    ],
    ...[
      'L | sum',
      'L | max',
      'T | int',
      'T | float',
      'T | wordcount',
      'L.index(A)',
      'L.count(A)',
      'loop.index',
      'i',
      'N | round(N)',
    ],
    ...['0', '1', '-1', '7', '1000', '1000000', '1e308'],
  ],
  B: [
    ...[
      'A == A',
      'A != A',
      'L < L',
      'T >= T',
      'T in T',
      'A in L',
      'A in D',
      'A not in L',
      'T.startswith(T)',
      'T.endswith((T, T))',
    ],
    ...[
      'T is upper',
      'A is eq(A)',
      'A is in(L)',
      'not A',
      'A and A',
      'B or B',
      'T.isalpha()',
      'T.istitle()',
      'loop.changed(A)',
      'true',
    ],
  ],
  A: [
    'T',
    'T',
    'L',
    'D',
    'N',
    'B',
    'none',
    '1.5',
    'm',
    'ns',
    '(A if B else A)',
    'loop.cycle(A, A)',
    'missing',
    'T.strip',
    'L | first',
    'L | last',
  ],
};
const SHORT = {
  T: ['x', "'a'", 'ns.t'],
  L: ['y', 'ns.l', '[1]'],
  D: ['{}', '{x: 1}'],
  N: ['0', '1', '1000', 'i'],
  B: ['true'],
  A: ['x', 'y', 'i'],
};

/** @param {Random} random @param {keyof typeof GRAMMAR} kind @param {number} depth @returns {string} */
function expression(random, kind, depth) {
  const form = random.pick((depth > 0 ? GRAMMAR : SHORT)[kind]);
  const filled = form.replace(/\b[TLDNBA]\b(?!["'])/g, (inner) =>
    expression(random, /** @type {keyof typeof GRAMMAR} */ (inner), depth - 1),
  );
  return filled.length === 1 ? filled : `(${filled})`;
}

const FILTERS = [
  'upper',
  'trim',
  'escape',
  'indent(9)',
  'title',
  'list',
  'length',
  'tojson',
  'reverse',
  'replace("a", x)',
  'center(9999)',
];

/** @param {Random} random @param {number} depth @returns {string} */
function body(random, depth) {
  const statements = Array.from({ length: 1 + random.int(3) }, () => statement(random, depth));
  return statements.join('');
}

/** @param {Random} random @param {number} depth @returns {string} */
function statement(random, depth) {
  const value = expression(random, 'A', 1 + random.int(3));
  const inner = () => body(random, depth - 1);
  if (depth <= 0) return `{{ ${value} }}`;
  switch (random.int(11)) {
    case 0:
    case 1:
      return `{% for i in ${random.pick(['range(100000)', 'range(9)', expression(random, 'L', 2)])} %}${inner()}{% endfor %}`;
    case 2:
      return random.pick([
        `{% set x = ${expression(random, 'T', 3)} %}`,
        `{% set ns.t = ${expression(random, 'T', 3)} %}`,
        `{% set ns.l = [ns.l, ${value}] %}`,
      ]);
    case 3:
      return `{% set ns.t %}${inner()}{% endset %}`;
    case 4:
      return `{% for i in range(60) %}{% set ns.l = ${random.pick(['[ns.l, ns.l]', 'ns.l + ns.l', '(ns.l, i)', '{i: ns.l}', '[ns.l]'])} %}{% endfor %}`;
    case 5:
      return `{% macro f(a, b=${value}) %}${inner()}{% endmacro %}{{ f(${value}) }}`;
    case 6:
      return `{% call(a) f(${value}) %}${inner()}{% endcall %}`;
    case 7:
      return `{% if ${value} %}${inner()}{% else %}${inner()}{% endif %}`;
    case 8:
      return `{% with x = ${value} %}${inner()}{% endwith %}`;
    case 9:
      return `{% filter ${random.pick(FILTERS)} %}${inner()}{% endfilter %}`;
    default:
      return `{{ ${value} }}`;
  }
}

/** A published template with pieces of others inserted, and pieces removed or replaced. @param {Random} random */
function mutation(random) {
  const parts = random.pick(published).split(/(?=\{[%{#])/);
  for (let count = 1 + random.int(8); count > 0; count--) {
    const at = random.int(parts.length);
    const cut = random.int(3);
    const added = random.pick([
      [],
      [random.pick(pieces)],
      [statement(random, 2)],
      [`{{ ${expression(random, 'A', 3)} }}`],
    ]);
    parts.splice(at, cut, ...added);
  }
  const text = parts.join('');
  if (!random.chance(0.3)) return text;
  const at = random.int(text.length);
  return (
    text.slice(0, at) +
    random.pick(["'", '}}', '%}', '(', '{#', '{%', '|', '**', '\\', '\0']) +
    text.slice(at + random.int(3))
  );
}

const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi 😀 <b>' },
  { role: 'assistant', content: '<think>\nhm\n</think>\n\nHello' },
  { role: 'user', content: [{ type: 'text', text: 'and now?' }] },
];

export default {
  about:
    'templates of a grammar that multiplies sizes, and mutated published ones: a text, or a TemplateError of one short line',
  limit: { seconds: 2, megabytes: 512 },
  /** @param {Random} random */
  run(random) {
    const grown =
      "{% set ns = namespace(l=['ab'], t='ab') %}{% set x = 'a' * 4000000 %}{% set y = [x, [1, 2.5], {'k': x}] %}{% set i = 3 %}{% macro f(a, b) %}{{ a }}{% endmacro %}";
    const template = random.chance(0.6) ? grown + body(random, 4) : mutation(random);
    let text;
    try {
      text = renderTemplate(template, MESSAGES, {
        addGenerationPrompt: true,
        bos_token: '<s>',
        tools: [{ name: 'f' }],
      });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'TemplateError') throw error;
      if (error.message.length > 1000)
        throw new Error(`a message of ${error.message.length} characters`, { cause: error });
      const limit = /nested|steps|characters of text|items in a list|blocks within|not done/.exec(error.message);
      return limit ? `refused: ${limit[0]}` : 'refused';
    }
    if (text.length > 2 ** 22) throw new Error(`a text of ${text.length} characters of ${template}`);
    return 'rendered';
  },
};
