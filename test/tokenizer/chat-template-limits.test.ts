import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { renderTemplate } from '../../src/tokenizer/chat-template.ts';
import { buildFirst, dist } from '../cli/built.ts';

buildFirst();

// In this process the limits alone end a template, so that no result depends on the speed of the machine.
vi.mock('../../src/platform/deadline.ts', async (original) => ({
  ...(await original<object>()),
  withDeadline: (_ms: number, _what: string, body: () => unknown) => body(),
}));

const user = [{ role: 'user', content: 'Hi' }];
const LIMIT = /^chat template: .*(use another template|too large|not a range|items in a list)$/;
const loop = (body: string, count = 100_000): string => `{% for i in range(${count}) %}${body}{% endfor %}`;
const doubling = (start: string, step: string, count = 64): string =>
  `{% set ns = namespace(x=${start}) %}${loop(`{% set ns.x = ${step} %}`, count)}`;
const TEXT = "{% set s = 'a' * 4000000 %}";

/** Short templates that make or read much. Each ends at a limit. */
const ENDLESS: Record<string, string> = {
  'an endless list': '{{ range(1000000000) }}',
  'a range without end': '{{ range(1, 2, 0) }}',
  'empty loops in loops': `${'{% for i in range(100000) %}'.repeat(2)}${'{% endfor %}'.repeat(2)}`,
  'a text that doubles': doubling("'ab'", 'ns.x ~ ns.x'),
  'a list that doubles': doubling('[1, 2]', 'ns.x + ns.x'),
  'texts that are summed': `{{ (['a' * 1000000] * 1000) | sum(start='') }}`,
  'a list that prints long': doubling("['ab']", '[ns.x, ns.x]') + '{{ ns.x }}',
  'a list that is long as JSON': doubling("['ab']", '[ns.x, ns.x]') + '{{ ns.x | tojson(indent=2) }}',
  'lists that are compared for ever':
    doubling('[1]', '[ns.x, ns.x]') + doubling('[1]', '[ns.x, ns.x]').replaceAll('ns', 'm') + '{{ ns.x == m.x }}',
  'lists that are ordered for ever':
    doubling('[1]', '[ns.x, ns.x]') +
    doubling('[1]', '[ns.x, ns.x]').replaceAll('ns', 'm') +
    '{{ [ns.x, m.x] | sort }}',
  'a list that is sought for ever':
    doubling('[1]', '[ns.x, ns.x]') + doubling('[1]', '[ns.x, ns.x]').replaceAll('ns', 'm') + '{{ ns.x in [m.x] }}',
  'a text repeated': "{{ 'a' * 1000000000 }}",
  'a text padded': "{{ 'a'.center(1000000000) }}",
  'a number padded': "{{ '%1000000000d' | format(1) }}",
  'a number with a width that is none': "{{ '%*d' % ('nan' | float, 1) }}",
  'a number of endless precision': "{{ '%.1000000000f' % 1 }}",
  'a format padded': "{{ '{:>1000000000}'.format(1) }}",
  'an indent without end': "{{ 'a' | indent(1000000000, true) }}",
  'a long text searched often': TEXT + loop("{{ s.find('c') }}"),
  'a long text sought in a long one': TEXT + loop("{% if ('a' * 50000 ~ 'b' ~ 'a' * 50000) in s %}{% endif %}"),
  'a long text split at a long one': TEXT + loop("{% set x = s.split('a' * 50000 ~ 'b' ~ 'a' * 50000) %}"),
  'a long text counted': TEXT + loop("{% set x = s.count('a') %}"),
  'a long text taken apart': TEXT + loop('{% set x = s | list %}'),
  'a long text stripped': TEXT + loop('{% set x = s.strip() %}'),
  'many characters to strip': TEXT + loop("{% set x = 'x'.strip(s) %}"),
  'a long beginning': TEXT + loop("{% set x = 'x'.startswith((s,) * 1000) %}"),
  'a long prefix': TEXT + loop("{% set x = (s ~ 'b').removeprefix(s ~ 'c') %}"),
  'long texts compared': TEXT + loop("{% set x = [s ~ 'b'] == [s ~ 'c'] %}"),
  'long keys': TEXT + loop('{% set x = {s ~ i: 1} %}'),
  'long keys in tuples': TEXT + loop('{% set x = {(s ~ i, s): 1} %}'),
  'long names of fields': TEXT + loop('{% set x = messages[0][s ~ i] %}'),
  'a replacement that explodes': "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}",
  'a join that explodes': "{% set s = 'a' * 1000000 %}{{ ([s] * 1000) | join }}",
  'a format that names a text often': `${TEXT}{{ ('{0}' * 1000).format(s) }}`,
  'a format of one name, often': `${TEXT}{{ ('%(a)s' * 1000) % {'a': s} }}`,
  'a text escaped': "{{ ('&' * 4000000) | escape }}",
  'a text in upper case': "{{ ('\u0390' * 4000000) | upper }}",
  'captures of a long text':
    TEXT + doubling('[]', '[ns.x, cap]').replace('{% set ns.x', '{% set cap %}{{ s }}{{ i }}{% endset %}{% set ns.x'),
  'macros that print a long text': `${TEXT}{% macro f() %}{{ s }}x{% endmacro %}${loop('{% set x = f() %}')}`,
  'filter blocks of a long text': TEXT + loop('{% filter upper %}{{ s }}{% endfilter %}'),
  'a range in ranges': `{% set r = range(100000) | list %}${loop('{% if -1 in r %}{% endif %}')}`,
  'dates without end': `{% set f = '%c' * 2000000 %}${loop('{% set x = strftime_now(f) %}')}`,
  'blocks in blocks': '{% for a in [1] %}'.repeat(500) + loop('{{ zz }}'.repeat(40)) + '{% endfor %}'.repeat(500),
  'names that are not there, kept': doubling('[]', `[ns.x, ${'zz, '.repeat(40)}]`, 100_000),
  'methods, kept': doubling('[]', `[ns.x, ${"'a'.strip, ".repeat(40)}]`, 100_000),
  'dicts, kept': doubling('[]', `[ns.x, ${'{}, '.repeat(40)}]`, 100_000),
  'parameters by the thousand': `{% macro f(${Array.from({ length: 9000 }, (_, i) => `p${i}`).join()}) %}{% endmacro %}${loop('{% set x = f(*range(9000)) %}')}`,
  'a key that flattens long': `${doubling("('a',)", '(ns.x, ns.x)')}{{ {ns.x: 1} }}`,
  'a macro that calls itself': '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
  'brackets in brackets': `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`,
  'a sum without end': `{{ 1${' + 1'.repeat(60_000)} }}`,
  'a namespace that holds itself': '{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}',
};

/** Templates that stay within the limits although they look endless. */
const ENDING: Record<string, string> = {
  'a list walked by its first': `{% set g = ((range(10000) | list) * 9) | map('string') %}${loop('{% set x = g | list %}', 10_000)}`,
  'scopes that macros keep': doubling('[]', '[ns.x, f]', 10_000).replace(
    '{% set ns.x',
    '{% macro f() %}{% endmacro %}{% set ns.x',
  ),
};

/** The most memory of a process that renders all of them, in MiB. */
const MEMORY = 512;
/** Processor seconds of one template: usually 0.1 to 1.5. A search that no limit ends takes at least 20. */
const SECONDS = 10;

interface Outcome {
  readonly message: string;
  readonly seconds: number;
}

describe('a template beyond its limits', () => {
  let outcomes: Record<string, Outcome>;
  let mebibytes: number;

  // One process renders each template once, with the deadline, as a program would.
  beforeAll(() => {
    const program = `
      import { renderTemplate } from ${JSON.stringify(dist('tokenizer/chat-template.js'))};
      import { readFileSync } from 'node:fs';
      const outcomes = {};
      for (const [name, template] of Object.entries(JSON.parse(readFileSync(0, 'utf8')))) {
        const before = process.cpuUsage();
        let message = '';
        try { renderTemplate(template, ${JSON.stringify(user)}); } catch (error) { message = error.message; }
        const { user, system } = process.cpuUsage(before);
        outcomes[name] = { message, seconds: (user + system) / 1e6 };
      }
      console.log(JSON.stringify({ outcomes, mebibytes: process.resourceUsage().maxRSS / 1024 }));`;
    const child = spawnSync(process.execPath, ['--max-old-space-size=1024', '--input-type=module', '-e', program], {
      input: JSON.stringify(ENDLESS),
      encoding: 'utf8',
    });
    expect(child.stderr).toBe('');
    ({ outcomes, mebibytes } = JSON.parse(child.stdout) as { outcomes: typeof outcomes; mebibytes: number });
  }, 240_000);

  it.each(Object.keys(ENDLESS))('ends with an error, in bounded time: %s', (name) => {
    const { message, seconds } = outcomes[name];
    expect(message).toMatch(LIMIT);
    expect(seconds).toBeLessThan(SECONDS);
  });

  it('ends within bounded memory, all of them in one process', () => {
    expect(mebibytes).toBeLessThan(MEMORY);
  });

  it.each(Object.entries(ENDING))('is told from one within them: %s', (_, template) => {
    expect(renderTemplate(template, user)).toBe('');
  });

  it.each([
    ['malformed', '{% if %}', /^chat template: /],
    ['of more than 256 KiB', 'x'.repeat(256 * 1024 + 1), /at most 262144/],
    ['of more than 256 KiB in UTF-8', 'é漢😀'.repeat(30_000), /270000 bytes, expected at most 262144/],
    ['of white space', `{{ '${' '.repeat(200_000)}' }}{% if`, /^chat template: /],
    ['with an endless number', "{{ ('1' * 1000000 ~ 'x') | float | nofilter }}", /no filter/],
    ['that reaches for JavaScript', "{{ ''.constructor.constructor('return 1')() }}", /^chat template: /],
    ['with a fill of two characters', "{{ 'a'.center(9, 'bc') }}", /exactly one character/],
  ])('refuses a template %s', (_, template, message) => {
    expect(() => renderTemplate(template, user)).toThrow(message);
  });

  it.each([
    ["{{ ('a' * 3000000 ~ 'b' ~ 'a' * 40).find('b' ~ 'a' * 40) }}", '3000000'],
    ["{{ ('ab' * 100 ~ 'ac' ~ 'ab' * 100).rfind('ab' * 50) }}", '302'],
    ["{{ ('ab' * 100).count('ab' * 20) }}{{ ('ab' * 100).split('ab' * 50) }}", "5['', '', '']"],
    ["{{ ('ab' * 50 ~ '-').rsplit('ab' * 20, 1) }}", `['${'ab'.repeat(30)}', '-']`],
    ["{{ ('x' ~ 'ab' * 20 ~ 'y').partition('ab' * 20) }}", `('x', '${'ab'.repeat(20)}', 'y')`],
    [
      '{% set r = range(100000) %}{% for i in range(1000) %}{% if 0 not in r or 0.5 in r %}x{% endif %}{% endfor %}',
      '',
    ],
    ["{% set g = range(9) | map('string') %}{{ g | first }}{{ g | first }}{{ g | join }}{{ g | list }}", '012345678[]'],
    ["{{ 'a😀b'[1] }}{{ 'a😀b'[-1] }}{{ 'a😀b'[1:] }}{{ 'a😀b'[::-1] }}{{ ('😀' * 9)[2:4] }}", '😀b😀bb😀a😀😀'],
  ])('renders %s as Python does', (template, expected) => {
    expect(renderTemplate(template, user)).toBe(expected);
  });
});
