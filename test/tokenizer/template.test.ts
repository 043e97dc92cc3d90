import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type ChatMessage,
  compileTemplate,
  renderTemplate,
  TemplateError,
  type TemplateVariables,
} from '../../src/tokenizer/template.ts';

const FIXTURES = new URL('../fixtures/templates/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, FIXTURES), 'utf8');

/** `[template, what transformers renders, or null where it raises]` */
const expressions = JSON.parse(read('expressions.json')) as {
  messages: ChatMessage[];
  variables: TemplateVariables;
  cases: [string, string | null][];
};
type Conversation = TemplateVariables & { messages: ChatMessage[]; add_generation_prompt?: boolean };
const conversations = JSON.parse(read('conversations.json')) as Record<string, Conversation>;
const PUBLISHED = [
  ...['deepseek-r1-distill', 'deepseek-v3.1', 'glm-4.5', 'gpt-oss'],
  ...['granite-3.3', 'mistral-nemo', 'phi-3.5', 'qwen3'],
];

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

  it.each(expressions.cases)('renders %j as transformers does', (template, expected) => {
    const render = () => renderTemplate(template, expressions.messages, { ...expressions.variables, now });
    if (expected === null) expect(render).toThrow(TemplateError);
    else expect(render()).toBe(expected);
  });

  describe.each(PUBLISHED)('with the template of %s', (name) => {
    const template = compileTemplate(read(`published/${name}.jinja`));
    const expected = JSON.parse(read(`published/${name}.json`)) as Record<string, string | null>;
    it.each(Object.entries(conversations))('renders the conversation %s as transformers does', (key, conversation) => {
      const { messages, add_generation_prompt: addGenerationPrompt, ...variables } = conversation;
      const render = () => template(messages, { ...variables, addGenerationPrompt, now });
      if (expected[key] === null) expect(render).toThrow(TemplateError);
      else expect(render()).toBe(expected[key]);
    });
  });

  it('knows which variables a template reads', () => {
    const { variables } = compileTemplate(read('published/qwen3.jinja'));
    expect([variables.has('enable_thinking'), variables.has('reasoning_effort')]).toEqual([true, false]);
  });

  it('knows whether a template reads reasoning from a field', () => {
    const fromField = PUBLISHED.filter((name) => compileTemplate(read(`published/${name}.jinja`)).readsReasoning);
    expect(fromField).toEqual(['glm-4.5', 'gpt-oss', 'qwen3']);
  });

  it('says what a template lacks, and in which line', () => {
    const render = () => renderTemplate('a\n{{ messages[0].role.x.y }}', user);
    expect(render).toThrow("chat template: line 2: 'str object' has no attribute 'x'");
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
    ['a list that prints long', doubling("['ab']", '[ns.x, ns.x]') + '{{ ns.x }}', /characters of text|steps/],
    ['lists that are compared for ever', doubling('[1]', '[ns.x, ns.x]') + doubling('[1]', '[ns.x, ns.x]').replaceAll('ns', 'm') + '{{ ns.x == m.x }}', /steps/], // prettier-ignore
    ['a text repeated', "{{ 'a' * 1000000000 }}", /characters of text/],
    ['a text padded', "{{ 'a'.center(1000000000) }}{{ '%1000000000d' | format(1) }}", /characters of text/],
    ['a format padded', "{{ '{:>1000000000}'.format(1) }}", /characters of text/],
    ['an indent without end', "{{ 'a' | indent(1000000000, true) }}", /characters of text/],
    [
      'a long text searched often',
      "{% set s = 'ab' * 1000000 %}{% for i in range(100000) %}{{ s.find('c') }}{% endfor %}",
      /steps/,
    ],
    ['a replacement that explodes', "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}", /characters of text/],
    ['a join that explodes', "{% set s = 'a' * 1000000 %}{{ ([s] * 1000) | join }}", /characters of text/],
    ['a key that flattens long', `${doubling("('a',)", '(ns.x, ns.x)')}{{ {ns.x: 1} }}`, /too large/],
    ['a format of names without end', "{{ ('%(' * 1500000) | format(a=1) }}", /steps/],
    ['digits without end', "{{ ('1' * 1000000 ~ 'x') | float | nofilter }}", /no filter/],
    ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /^chat template: /],
    ['white space without end', `{{ '${' '.repeat(200_000)}' }}{% if`, /^chat template: /],
    ['a way to code', "{{ ''.constructor.constructor('return 1')() }}", /^chat template: /],
  ])('refuses %s', (_, template, message) => {
    const render = () => renderTemplate(template, user);
    // Once, because the slowest takes seconds: only our own errors begin so.
    expect(render).toThrow(message);
  });
});
