import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type ChatMessage,
  compileTemplate,
  renderTemplate,
  TemplateError,
  type TemplateVariables,
} from '../../src/tokenizer/chat-template.ts';

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
  it.each(RENDERED)('renders %s as Jinja2 does', (template, variables, expected) => {
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

  it('lists the variables that a template reads', () => {
    const { variables } = compileTemplate(read('published/qwen3.jinja'));
    expect([variables.has('enable_thinking'), variables.has('reasoning_effort')]).toEqual([true, false]);
  });

  it('says whether a template reads reasoning from a field', () => {
    const fromField = PUBLISHED.filter((name) => compileTemplate(read(`published/${name}.jinja`)).readsReasoning);
    expect(fromField).toEqual(['glm-4.5', 'gpt-oss', 'qwen3']);
  });

  it('reports a missing attribute with its line', () => {
    const render = () => renderTemplate('a\n{{ messages[0].role.x.y }}', user);
    expect(render).toThrow("chat template: line 2: 'str object' has no attribute 'x'");
  });

  it("reports raise_exception with the template's own message", () => {
    const render = () => renderTemplate("{{ raise_exception('Roles must alternate') }}", user);
    expect(render).toThrow(new TemplateError('Roles must alternate'));
  });

  it('refuses messages and variables of the wrong type, and names them', () => {
    const itself: Record<string, unknown> = { role: 'user' };
    itself.content = itself;
    const throwing = {
      role: 'user',
      get content(): string {
        throw new Error('gone');
      },
    };
    const render =
      (messages: unknown, variables: unknown = {}) =>
      () =>
        renderTemplate('{{ messages }}', messages as ChatMessage[], variables as TemplateVariables);
    expect(render('hi')).toThrow(/^renderTemplate: messages must be a list/);
    expect(render([null])).toThrow(/^renderTemplate: messages must be a list of messages, objects with a role each/);
    expect(render([new Date()])).toThrow(/^renderTemplate: messages must be/);
    expect(render([itself])).toThrow(
      /^chat template: messages\[0\] holds more than 100 objects within each other, or itself/,
    );
    expect(render([throwing])).toThrow(/^chat template: messages\[0\] cannot be read: gone/);
    expect(render([], { tools: new Array(2_000_000).fill(0) })).toThrow(
      /^chat template: tools holds more than 1000000 values/,
    );
    expect(render([], { now: new Date(NaN) })).toThrow(/^renderTemplate: now must be a valid Date/);
    expect(() => compileTemplate(5 as never)).toThrow('chat template: expected a text, got number');
  });

  it('renders values that are not data as the names of their types', () => {
    const value = { big: 12n, map: new Map([['k', 1]]), date: new Date(), run: () => 1, symbol: Symbol('s') };
    const shown = "{'big': 12, 'map': {'k': 1}, 'date': '<Date>', 'run': '<Function>', 'symbol': '<symbol>'}";
    expect(renderTemplate('{{ value }}', [], { value })).toBe(shown);
    expect(renderTemplate('{{ value.x }}', [], { value: new Proxy({ x: 1 }, {}) })).toBe('1');
  });

  it('shortens the text of a template in its errors', () => {
    for (const name of ['raise_exception', 'dict'])
      expect(() => renderTemplate(`{{ ${name}('long ' * 100000) }}{{ ${'name'.repeat(9999)}.x }}`, [])).toThrow(
        /^.{0,600}$/,
      );
  });
});

it('reports code points and surrogates that are no characters as Python does', () => {
  const bad = (template: string) => () => renderTemplate(template, []);
  expect(renderTemplate("{{ '%c' % 0x10ffff }}", [])).toBe('\u{10ffff}');
  expect(bad("{{ '%c' % 0x110000 }}")).toThrow('%c arg not in range(0x110000)');
  expect(bad("{{ '%c' % -1 }}")).toThrow('%c arg not in range(0x110000)');
  expect(renderTemplate("{{ '😀' | urlencode }}", [])).toBe('%F0%9F%98%80');
  expect(bad("{{ '\ud800' | urlencode }}")).toThrow("'utf-8' codec can't encode");
});
