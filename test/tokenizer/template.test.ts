import { describe, expect, it } from 'vitest';
import { renderTemplate, TemplateError, type TemplateVariables } from '../../src/tokenizer/template.ts';

const user = [{ role: 'user', content: 'Hi' }];
const now = new Date(2024, 6, 4, 15, 7, 9);

// Expected values: Jinja2 and Python's datetime, with transformers' settings.
const RENDERED: [string, TemplateVariables, string][] = [
  ['{% for m in messages %}\n  {% if true %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n', {}, 'Hi\n'],
  ['{{ messages[0]["role"] }}{{ missing }}{{ "!" if missing is not defined }}', {}, 'user!'],
  ['{{ "t" if tools is none }}{{ "d" if documents is none }}{{ "g" if add_generation_prompt }}', {}, 'td'],
  ['{{ "g" if add_generation_prompt }}{{ "n" if not thinking }}', { addGenerationPrompt: true, thinking: false }, 'gn'],
  [
    '{{ tools | tojson }}',
    { tools: [{ name: 'é<b>', n: [1, 2.5, null, true] }] },
    '[{"name": "é<b>", "n": [1, 2.5, null, true]}]',
  ],
  [
    '{% for i in range(9) %}{% if i == 2 %}{% continue %}{% elif i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}',
    {},
    '0134',
  ],
  ['{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}{{ range(0) | length }}', {}, '5310'],
  ['{% set ns = namespace(n=1) %}{% for m in messages %}{% set ns.n = 7 %}{% endfor %}{{ ns.n }}', {}, '7'],
  ["{{ strftime_now('%d %b %Y') }}", { now }, '04 Jul 2024'],
  [
    "{{ strftime_now('%A, %-d %B %y %H:%M:%S %I %p %j %F %%') }}",
    { now },
    'Thursday, 4 July 24 15:07:09 03 PM 186 2024-07-04 %',
  ],
  ['{{ bos_token + messages[0].content }}', { bos_token: '<s>' }, '<s>Hi'],
];

describe('renderTemplate', () => {
  it.each(RENDERED)('%s', (template, variables, expected) => {
    expect(renderTemplate(template, user, variables)).toBe(expected);
  });

  it("reports raise_exception with the template's own message", () => {
    const render = () => renderTemplate("{{ raise_exception('Roles must alternate') }}", user);
    expect(render).toThrow(new TemplateError('Roles must alternate'));
  });

  const doubling = (start: string, step: string) =>
    `{% set ns = namespace(x=${start}) %}{% for i in range(64) %}{% set ns.x = ${step} %}{% endfor %}`;
  it.each([
    ['malformed', '{% if %}', /^chat template: /],
    ['no template of a sane size', 'x'.repeat(256 * 1024 + 1), /at most 262144/],
    ['nested too deeply', `{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`, /^chat template: /],
    ['an endless list', '{{ range(1000000000) }}', /items in a list/],
    ['a range without end', '{{ range(1, 2, 0) }}', /not a range/],
    ['empty loops in loops', `${'{% for i in range(100000) %}'.repeat(2)}${'{% endfor %}'.repeat(2)}`, /steps/],
    ['a text that doubles', doubling("'ab'", 'ns.x ~ ns.x'), /characters of text/],
    ['a list that doubles', doubling('[1, 2]', 'ns.x + ns.x'), /items in a list/],
    ['a way to code', "{{ ''.constructor.constructor('return 1')() }}", /^chat template: /],
  ])('refuses %s', (_, template, message) => {
    const render = () => renderTemplate(template, user);
    // Once, because the slowest takes seconds: only our own errors begin so.
    expect(render).toThrow(message);
  });
});
