import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load, type GenerateOptions, type GeneratedToken, type Model } from '../../src/index.ts';
import { liveTensors } from '../../src/tensor/tensor.ts';
import { MODEL, runCli, runJson } from './run-cli.ts';
import { TESTED_BACKENDS } from '../support/tested-backends.ts';

/** Prompts with the tokens and text that transformers generates. */
const { cases } = JSON.parse(readFileSync('test/fixtures/expected/llama_gqa_tied/e2e.json', 'utf8')) as {
  cases: {
    messages: { content: string }[];
    prompt: string;
    prompt_ids: number[];
    generated_ids: number[];
    generated_text_skip_special: string;
  }[];
};
const GREEDY = [
  '--weights',
  'f32',
  '--temperature',
  '0',
  '--repetition-penalty',
  '1',
  '--max-tokens',
  '16',
  '--ignore-eos',
];

interface Answer {
  text: string;
  tokens: number[];
  finishReason: string;
  logprobs: { token: number; logprob: number; top: { token: number; logprob: number }[] }[];
  speed: { promptTokens: number; newTokens: number; timeToFirstToken: number; prefill: number; decode: number };
}

describe.each(TESTED_BACKENDS)('vitrine generate on %s', (backend) => {
  const on = ['-m', MODEL, '--backend', backend];

  it.each(cases)('answers "$messages.0.content" as transformers does', async ({ messages, ...expected }) => {
    const { code, stdout, stderr } = await runCli(['generate', messages[0].content, ...on, ...GREEDY]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${expected.generated_text_skip_special}\n` });
    expect(stderr).toMatch(
      /^prefill \d+ tokens, [\d.]+ tok\/s; first token after [\d.]+ s; decode 16 tokens, [\d.]+ tok\/s\n$/,
    );
  });

  it('prints one JSON object with tokens, log-probabilities and speed', async () => {
    const { messages, prompt_ids, generated_ids, generated_text_skip_special } = cases[1];
    const before = liveTensors();
    const args = ['generate', messages[0].content, ...on, ...GREEDY, '--logprobs', '2'];
    const { text, tokens, finishReason, logprobs, speed } = (await runJson(args)) as Answer;
    expect({ text, tokens, finishReason }).toEqual({
      text: generated_text_skip_special,
      tokens: generated_ids,
      finishReason: 'length',
    });
    expect(logprobs.map(({ top }) => top[0].token)).toEqual(generated_ids);
    expect(logprobs[0].logprob).toBeCloseTo(logprobs[0].top[0].logprob, 5);
    expect(speed).toMatchObject({ promptTokens: prompt_ids.length, newTokens: 16 });
    expect(speed.prefill).toBeCloseTo(prompt_ids.length / speed.timeToFirstToken);
    expect(liveTensors()).toBe(before);
  });
});

describe('vitrine generate', () => {
  const { messages, prompt, generated_ids } = cases[0];
  let model: Model;
  beforeAll(async () => {
    model = await load(MODEL, { backend: 'reference' });
  });
  afterAll(() => {
    model.dispose();
  });

  const on = ['-m', MODEL, '--backend', 'reference', '--json'];

  it('gives the model a --raw prompt without the template', async () => {
    const { tokens, speed } = (await runJson(['generate', prompt, '--raw', ...on, ...GREEDY])) as Answer;
    expect(tokens).toEqual(generated_ids);
    expect(speed.promptTokens).toBe(cases[0].prompt_ids.length);
  });

  it('reads the prompt from stdin where it is -', async () => {
    const { tokens } = (await runJson(['generate', '-', ...on, ...GREEDY], { stdin: messages[0].content })) as Answer;
    expect(tokens).toEqual(generated_ids);
  });

  it.each<[string[], GenerateOptions]>([
    [['--seed', '5'], { seed: 5 }],
    [['--seed', '5', '--top-k', '2'], { seed: 5, topK: 2 }],
    [['--seed', '5', '--top-p', '0.1', '--top-k', '0'], { seed: 5, topP: 0.1, topK: 0 }],
    [
      ['--seed', '5', '--top-k', '0', '--top-p', '1', '--min-p', '0.5', '--temperature', '2'],
      { seed: 5, topK: 0, topP: 1, minP: 0.5, temperature: 2 },
    ],
    [
      ['--seed', '5', '--top-k', '0', '--top-p', '1', '--typical-p', '0.3'],
      { seed: 5, topK: 0, topP: 1, typicalP: 0.3 },
    ],
    [['--temperature', '0', '--presence-penalty', '2.5'], { temperature: 0, presencePenalty: 2.5 }],
    [['--temperature', '0', '--frequency-penalty', '-1'], { temperature: 0, frequencyPenalty: -1 }],
    [
      ['--temperature', '0', '--repetition-penalty', '1', '--no-repeat-ngram-size', '2'],
      { temperature: 0, repetitionPenalty: 1, noRepeatNgramSize: 2 },
    ],
    [
      ['--temperature', '0', '--repetition-penalty', '1', '--stop', 'zzz', '--stop', 'k', '--stop', 'yyy'],
      { temperature: 0, repetitionPenalty: 1, stop: ['zzz', 'k', 'yyy'] },
    ],
  ])('passes %j to the model', async (flags, options) => {
    const expected: GeneratedToken[] = [];
    const conversation = [{ role: 'system', content: 'Be brief.' }, ...messages] as never;
    for await (const token of model.generate(conversation, { ...options, maxTokens: 24 })) expected.push(token);
    const args = ['generate', messages[0].content, '--system', 'Be brief.', '--max-tokens', '24', ...on, ...flags];
    const { text, tokens, finishReason } = (await runJson(args)) as Answer;
    expect(tokens).toEqual(expected.map(({ token }) => token));
    expect(text).toBe(expected.map((token) => token.text).join(''));
    expect(finishReason).toBe(expected.at(-1)?.finishReason);
  });

  it('ends with exit code 130 at Ctrl-C while it waits for stdin', async () => {
    const silent = new Readable({ read: () => void setImmediate(() => process.emit('SIGINT')) });
    expect(await runCli(['generate', '-', ...on], { stdin: silent })).toEqual({ code: 130, stdout: '', stderr: '' });
  });

  it('ends with exit code 130 at Ctrl-C, after the text so far, and leaves no tensor behind', async () => {
    const before = { tensors: liveTensors(), listeners: process.listenerCount('SIGINT') };
    let pieces = 0;
    const { code, stdout, stderr } = await runCli(
      ['generate', 'hi', '-m', MODEL, '--backend', 'reference', '--max-tokens', '2000', '--ignore-eos'],
      { onOutput: () => ++pieces === 20 && process.emit('SIGINT') },
    );
    expect(code).toBe(130);
    expect(stdout).toMatch(/\n$/);
    expect(Number(/decode (\d+) tokens/.exec(stderr)?.[1])).toBeLessThan(100);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect({ tensors: liveTensors(), listeners: process.listenerCount('SIGINT') }).toEqual(before);
  });
});
