import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { Conversation } from '../../src/cli/conversation.ts';
import { load } from '../../src/engine/load/load.ts';
import type { Model } from '../../src/engine/model.ts';
import { liveTensors } from '../../src/tensor/tensor.ts';
import type { ChatMessage } from '../../src/tokenizer/chat-template.ts';
import { MODEL, runCli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-chat-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const OPTIONS = { temperature: 0, maxTokens: 8, ignoreEos: true };
const CHAT = ['chat', '-m', MODEL, '--backend', 'reference', '--temperature', '0', '--max-tokens', '8', '--ignore-eos'];

/** A conversation in which every answer is computed with a new cache. */
async function withoutCache(model: Model, ...turns: string[]): Promise<ChatMessage[]> {
  const messages: ChatMessage[] = [];
  for (const content of turns) {
    messages.push({ role: 'user', content });
    let answer = '';
    for await (const { text } of model.generate(messages, OPTIONS)) answer += text;
    messages.push({ role: 'assistant', content: answer });
  }
  return messages;
}

describe('vitrine chat', () => {
  it('answers each line of stdin in the context of the earlier ones; /reset removes them, /save writes them', async () => {
    const before = liveTensors();
    const model = await load(MODEL, { backend: 'reference' });
    const long = await withoutCache(model, 'Hello, who are you?', 'print the numbers 1 2 3');
    const short = await withoutCache(model, 'print the numbers 1 2 3');
    model.dispose();
    const [file, second] = [join(folder, 'long.json'), join(folder, 'short.json')];
    const { code, stdout, stderr } = await runCli(CHAT, {
      stdin: ['Hello, who are you?', '', 'print the numbers 1 2 3', `/save ${file}`]
        .concat('/reset', 'print the numbers 1 2 3', `/save ${second}`, '/exit', 'not read')
        .join('\n'),
    });
    expect(code).toBe(0);
    const answers = [...long, ...short].filter(({ role }) => role === 'assistant');
    expect(stdout).toBe(answers.map(({ content }) => `${content as string}\n`).join(''));
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(long);
    expect(JSON.parse(readFileSync(second, 'utf8'))).toEqual(short);
    expect(stderr.match(/^prefill/gm)).toHaveLength(3);
    expect(liveTensors()).toBe(before);
  });

  it('never overwrites a file', async () => {
    const file = join(folder, 'twice.json');
    const { code, stderr } = await runCli(CHAT, { stdin: `Hello\n/save ${file}\n/reset\n/save ${file}\n` });
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^vitrine: \/save: .*twice\.json.*exists already/);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveLength(2);
  });

  it.each([
    ['/nonsense', /^vitrine: there is no command \/nonsense\./],
    ['/save', /^vitrine: \/save: expected the name of a file/],
  ])('explains what is wrong with %s', async (line, message) => {
    const { code, stderr } = await runCli(CHAT, { stdin: `${line}\n` });
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  it('lists its commands', async () => {
    const { stdout } = await runCli(CHAT, { stdin: '/help\n' });
    expect(stdout).toMatch(/\/reset[\s\S]*\/save[\s\S]*\/exit/);
  });

  it('at a terminal, Ctrl-C stops the answer, clears the line, and leaves at an empty line', async () => {
    const modes: boolean[] = [];
    const setRawMode = (isRaw: boolean) => modes.push(isRaw);
    const keys = Object.assign(new PassThrough(), { isTTY: true, setRawMode });
    const isTTY = Object.getOwnPropertyDescriptor(process.stdout, 'isTTY') ?? { value: undefined, configurable: true };
    Object.defineProperty(process.stdout, 'isTTY', { value: true, configurable: true });
    const CTRL_C = '\x03';
    const atPrompt = ['Hello\r', '/nonsense\r', 'Go on\r', `half a line${CTRL_C}${CTRL_C}`];
    const press = (text: string) => setImmediate(() => keys.write(text));
    let pieces = 0;
    const { code, stdout, stderr } = await runCli([...CHAT, '--max-tokens', '2000'], {
      stdin: keys,
      onOutput: (text) => {
        if (stripVTControlCharacters(text).endsWith('> ') && atPrompt.length > 0) press(atPrompt.shift()!);
        else if (++pieces % 40 === 0) process.emit('SIGINT');
      },
    });
    Object.defineProperty(process.stdout, 'isTTY', isTTY);
    expect({ code, left: atPrompt }).toEqual({ code: 0, left: [] });
    // A line is edited in raw mode. During an answer the terminal is not in raw mode, so that Ctrl-C is a signal.
    expect(modes).toEqual([true, false, true, false, true, false]);
    expect(stdout).toMatch(/^\/help lists the commands\.\n/);
    const [first, nonsense, second, ...more] = stderr.trimEnd().split('\n');
    expect([nonsense, more]).toEqual(['vitrine: there is no command /nonsense. /help lists the commands.', []]);
    for (const line of [first, second]) expect(Number(/decode (\d+) tokens/.exec(line)?.[1])).toBeLessThan(100);
  });

  it('ends with exit code 130 at SIGINT', async () => {
    const before = liveTensors();
    const { code } = await runCli([...CHAT, '--max-tokens', '2000'], {
      stdin: 'Hello\nand again\n',
      onOutput: () => process.emit('SIGINT'),
    });
    expect(code).toBe(130);
    expect(liveTensors()).toBe(before);
  });
});

/** A model with a sliding window of 8 tokens, whose cache cannot be truncated, and the tokenizer of another. */
function slidingModel(): string {
  const sliding = join(folder, 'sliding');
  cpSync('test/fixtures/models/mistral_sliding', sliding, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(MODEL, file), join(sliding, file));
  return sliding;
}

describe.each([
  ['a cache that can be truncated', () => MODEL, true],
  ['a cache with a sliding window', slidingModel, false],
])('a conversation over %s', (_, source, isReused) => {
  it('gives the answers of a run without a cache', async () => {
    const model = await load(source(), { backend: 'reference' });
    const conversation = new Conversation(model);
    const turns = ['Hello, who are you?', 'And now?', 'print the numbers 1 2 3'];
    const computed: number[] = [];
    for (const turn of turns) {
      const answer = conversation.say(turn, OPTIONS, (tokens) => computed.push(tokens));
      while (!(await answer.next()).done);
    }
    expect(conversation.messages).toEqual(await withoutCache(model, ...turns));
    const whole = model.renderChat(conversation.messages.slice(0, 3), { addGenerationPrompt: true }).tokens.length;
    expect(computed[1] < whole - 20).toBe(isReused);
    conversation.dispose();
    model.dispose();
  });

  it('keeps the generated part of an interrupted answer, and continues from it', async () => {
    const model = await load(source(), { backend: 'reference' });
    const conversation = new Conversation(model);
    const stop = new AbortController();
    let received = '';
    await expect(async () => {
      for await (const { text } of conversation.say('Hello', { ...OPTIONS, signal: stop.signal })) {
        received += text;
        if (received.length > 3) stop.abort(new Error('enough'));
      }
    }).rejects.toThrow('enough');
    expect(conversation.messages).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: received },
    ]);
    let answer = '';
    for await (const { text } of conversation.say('Go on', OPTIONS)) answer += text;
    let expected = '';
    for await (const { text } of model.generate(conversation.messages.slice(0, 3), OPTIONS)) expected += text;
    expect(answer).toBe(expected);
    conversation.dispose();
    model.dispose();
  });
});
