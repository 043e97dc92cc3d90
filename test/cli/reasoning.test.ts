import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { AnswerPrinter } from '../../src/cli/answer-printer.ts';
import { Conversation } from '../../src/cli/conversation.ts';
import { type GeneratedToken, load } from '../../src/index.ts';
import { ReasoningModels, saying } from '../support/reasoning-models.ts';
import { MODEL, runCli, runJson } from './run-cli.ts';

const folders = new ReasoningModels();
afterAll(() => {
  folders.remove();
});

const QUICK = ['--backend', 'reference', '--temperature', '0', '--max-tokens', '6', '--ignore-eos'];

describe('an answer on the screen', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** The output of an answer. */
  function printed(flags: { reasoning?: 'show' | 'hide' }, steps: readonly Partial<GeneratedToken>[]) {
    const written = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
        written[name] += String(chunk);
        return true;
      });
    }
    const printer = new AnswerPrinter(flags);
    for (const step of steps) printer.print({ token: 0, text: '', logprob: 0, ...step });
    printer.end();
    vi.restoreAllMocks();
    return written;
  }
  const said = (channel: string, content: string, more = {}) => ({ spans: [{ channel, content, ...more }] });
  const ANSWER = [said('reasoning', '\nHm'), said('reasoning', '.\n'), said('final', '\n\n'), said('final', 'Yes.')];

  it('has an empty line between reasoning and answer', () => {
    expect(printed({}, ANSWER)).toEqual({ stdout: 'Hm.\n\nYes.\n', stderr: '' });
  });

  it('is only the answer where reasoning is hidden', () => {
    expect(printed({ reasoning: 'hide' }, ANSWER)).toEqual({
      stdout: 'Yes.\n',
      stderr: 'reasoning: 2 tokens, hidden\n',
    });
  });

  it('shows each tool call once', () => {
    const call = { recipient: 'functions.f', contentType: 'json' };
    const steps = [
      said('analysis', 'Hm.'),
      said('commentary', '{}', call),
      { spans: [], toolCalls: [{ name: 'f', arguments: {} }] },
    ];
    expect(printed({}, steps).stdout).toBe('Hm.\ncalls f({})\n');
  });

  it('is the text of a model without channels', () => {
    expect(printed({ reasoning: 'hide' }, [{ text: 'a' }, { text: 'b' }])).toEqual({ stdout: 'ab\n', stderr: '' });
  });
});

describe('a raw prompt of a model whose tokens mark spaces', () => {
  it.each(['metaspace_llama2', 'metaspace_pre'])('is continued with the right spaces: %s', async (name) => {
    const folder = folders.withTokenizer('llama_gqa_tied', name);
    const model = await load(folder, { backend: 'reference' });
    const [text, whole] = ['hello', model.tokenizer.encode('hello a')];
    const rest = whole.slice(model.tokenizer.encode(text).length);
    for (const prompt of [text, model.tokenizer.encode(text)]) {
      let count = 0;
      const edit = { 'sampler.hook_token': () => Float32Array.of(rest[count++]) };
      let shown = '';
      for await (const token of model.generate(prompt, {
        maxTokens: rest.length,
        temperature: 0,
        ignoreEos: true,
        edit,
      }))
        shown += token.text;
      expect(text + shown).toBe('hello a');
    }
    model.dispose();
  });
});

describe('vitrine with a model that reasons', () => {
  it('generate --reasoning hide prints only the answer, and the number of hidden tokens', async () => {
    const model = folders.think('qwen2', 'deepseek-r1-distill');
    const shown = await runCli(['generate', 'Why?', '-m', model, ...QUICK]);
    expect(shown.stdout.trim()).not.toBe('');
    const hidden = await runCli(['generate', 'Why?', '-m', model, ...QUICK, '--reasoning', 'hide']);
    expect([hidden.code, hidden.stdout]).toEqual([0, '\n']);
    expect(hidden.stderr).toMatch(/^reasoning: \d tokens, hidden/);
    const chatted = await runCli(['chat', '-m', model, ...QUICK, '--reasoning', 'hide'], { stdin: 'Why?\n' });
    expect([chatted.code, chatted.stdout]).toEqual([0, '\n']);
  });

  it('generate --json prints the channels, and passes --thinking to the template', async () => {
    const model = folders.think('qwen3', 'qwen3');
    const run = (...flags: string[]) => runJson(['generate', 'Why?', '-m', model, ...QUICK, '--json', ...flags]);
    const on = (await run('--thinking', 'on')) as { speed: { promptTokens: number } };
    const off = (await run('--thinking', 'off')) as typeof on;
    expect(off).toMatchObject({ channels: [{ channel: 'final' }] });
    expect(off.speed.promptTokens).toBeGreaterThan(on.speed.promptTokens);
  });

  it('passes --effort to the template of gpt-oss', async () => {
    const model = folders.harmony('llama_untied');
    const run = (...flags: string[]) => runJson(['generate', 'Why?', '-m', model, ...QUICK, '--json', ...flags]);
    const count = async (effort: string) =>
      ((await run('--effort', effort)) as { speed: { promptTokens: number } }).speed.promptTokens;
    expect(await count('medium')).not.toBe(await count('low'));
  });

  it.each([
    ['generate', '--effort', 'low', /^vitrine: --effort: the chat template of .* does not read reasoning_effort/m],
    ['chat', '--thinking', 'off', /^vitrine: --thinking: the chat template of .* does not read enable_thinking/m],
    ['chat', '--effort', 'extreme', /^vitrine: .*--effort.*low, medium, high/m],
  ])('%s refuses %s if the template does not read it', async (command, flag, value, message) => {
    const { code, stderr } = await runCli([command, '-m', MODEL, ...QUICK, flag, value], { stdin: 'Why?\n' });
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });
});

describe('a conversation with a model that reasons', () => {
  it.each([
    ['qwen3', '<think>\nHm.\n</think>\n\nYes.<|im_end|>', { content: 'Yes.', reasoning_content: '\nHm.\n' }],
    [
      'qwen3',
      '<think>\nHm.\n</think>\n\nYes. </think><|im_end|>',
      { content: 'Yes. </think>', reasoning_content: '\nHm.\n' },
    ],
    // Without reasoning_content, the template would remove the text before the tag.
    ['qwen3', 'Yes. </think> ends it.<|im_end|>', { content: 'Yes. </think> ends it.', reasoning_content: '' }],
    ['deepseek-r1-distill', 'Hm.\n</think>\n\nYes.<|im_end|>', { content: '<think>Hm.\n</think>\n\nYes.' }],
  ])('keeps reasoning where the template of %s reads it', async (template, text, message) => {
    const model = await load(folders.think('qwen2', template), { backend: 'reference' });
    const conversation = new Conversation(model);
    for await (const token of conversation.say('Why?', saying(model, text))) expect(token.channel).toBeDefined();
    expect(conversation.messages).toEqual([
      { role: 'user', content: 'Why?' },
      { role: 'assistant', ...message },
    ]);
    // The template leaves out the reasoning of earlier turns.
    const next = model.renderChat([...conversation.messages, { role: 'user', content: 'And?' }]).text;
    expect(next).toContain('Yes.');
    expect(next).not.toContain('Hm.');
    conversation.dispose();
    model.dispose();
  });

  it('keeps the reasoning and the tool call of a harmony turn', async () => {
    const model = await load(folders.harmony('llama_untied'), { backend: 'reference' });
    const conversation = new Conversation(model);
    const text =
      '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>';
    for await (const token of conversation.say('Why?', saying(model, text)))
      expect(token.text).not.toContain('analysis');
    expect(conversation.messages.at(-1)).toEqual({
      role: 'assistant',
      content: '',
      reasoning_content: 'Hm.',
      tool_calls: [{ type: 'function', function: { name: 'f', arguments: { a: 1 } } }],
    });
    const next = model.renderChat([...conversation.messages, { role: 'tool', content: 'ok' }]).text;
    expect(next).toContain('<|channel|>analysis<|message|>Hm.<|end|>');
    expect(next).toContain('to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>');
    conversation.dispose();
    model.dispose();
  });
});
