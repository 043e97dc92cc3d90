import { afterAll, describe, expect, it } from 'vitest';
import { Answer } from '../../src/engine/answer.ts';
import { type GeneratedToken, load, loadTokenizer, type Model, type Prompt, Tokenizer } from '../../src/index.ts';
import { resolveInFolder } from '../../src/loader/model-folder.ts';
import { readTokenizerFiles } from '../../src/tokenizer/files.ts';
import { joinSpans } from '../../src/tokenizer/channels/spans.ts';
import { modelFolder } from '../support/fixtures.ts';
import { publishedTemplate, ReasoningModels, saying } from '../support/reasoning-models.ts';

const folders = new ReasoningModels();
afterAll(() => {
  folders.remove();
});

const QUESTION = [{ role: 'user', content: 'Why?' }];

async function answer(model: Model, text: string, prompt: Prompt = QUESTION, more = {}): Promise<GeneratedToken[]> {
  const tokens: GeneratedToken[] = [];
  for await (const token of model.generate(prompt, { ...saying(model, text), ...more })) tokens.push(token);
  return tokens;
}

const messages = (tokens: readonly GeneratedToken[]) => joinSpans(tokens.flatMap(({ spans }) => spans ?? []));

/** All text by channel, as one reads it token by token. */
function byChannel(tokens: readonly GeneratedToken[]): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const { channel = 'none', text } of tokens) texts[channel] = (texts[channel] ?? '') + text;
  return texts;
}

describe.each(['qwen2', 'llama_gqa_tied'])('a distillation of R1 into %s', (name) => {
  it('begins inside of <think>, and tells reasoning from answer', async () => {
    const model = await load(folders.think(name, 'deepseek-r1-distill'), { backend: 'reference' });
    expect(model.tokenizer.channelFormat).toBe('think');
    const { text } = model.renderChat(QUESTION, { addGenerationPrompt: true });
    expect(text).toMatch(/<｜Assistant｜><think>\n$/);
    const tokens = await answer(model, 'Hm 🦙.\n</think>\n\nBecause.<|im_end|>');
    expect(byChannel(tokens)).toEqual({ reasoning: 'Hm 🦙.\n', final: '\n\nBecause.' });
    expect(tokens.at(-1)?.finishReason).toBe('stop');
    // By itself as well, whatever it says: all of it is reasoning.
    const free: GeneratedToken[] = [];
    for await (const token of model.generate(QUESTION, { maxTokens: 8, temperature: 0, ignoreEos: true }))
      free.push(token);
    expect(new Set(free.map(({ channel }) => channel))).toEqual(new Set(['reasoning']));
    model.dispose();
  });
});

describe('a model with the template of Qwen3', () => {
  it('opens its reasoning itself, or is told not to reason', async () => {
    const model = await load(folders.think('qwen3', 'qwen3'), { backend: 'reference' });
    const said = '<think>\nHm.\n</think>\n\nBecause.<|im_end|>';
    expect(byChannel(await answer(model, said))).toEqual({ reasoning: '\nHm.\n', final: '\n\nBecause.' });
    const { tokens } = model.renderChat(QUESTION, { addGenerationPrompt: true, enable_thinking: false });
    expect(byChannel(await answer(model, 'Because.', tokens))).toEqual({ final: 'Because.' });
    // The conversation is in the cache, and only its end is new.
    const cache = model.newCache();
    const prompt = model.renderChat(QUESTION, { addGenerationPrompt: true }).tokens;
    await answer(model, '<think>\n', prompt, { cache });
    expect(byChannel(await answer(model, 'm.</think>x', [70], { cache }))).toEqual({ reasoning: 'm.', final: 'x' });
    cache.dispose();
    model.dispose();
  });

  it('gives its tool calls as data', async () => {
    const model = await load(folders.think('qwen3', 'qwen3'), { backend: 'reference' });
    const call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>';
    const tokens = await answer(model, `<think>x</think>${call}<|im_end|>`);
    expect(tokens.at(-1)?.toolCalls).toEqual([{ name: 'f', arguments: { a: 1 } }]);
    expect(tokens.slice(0, -1).every(({ toolCalls }) => toolCalls === undefined)).toBe(true);
    model.dispose();
  });
});

describe('a model with the tokens of harmony', () => {
  it('tells channels apart, ends at <|return|> and <|call|>, and not at <|end|>', async () => {
    const model = await load(folders.harmony('llama_untied'), { backend: 'reference' });
    expect(model.tokenizer.channelFormat).toBe('harmony');
    const thought = '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant';
    const tokens = await answer(model, `${thought}<|channel|>final<|message|>Because.<|return|>`);
    expect(byChannel(tokens)).toEqual({ none: '', analysis: 'Hm.', final: 'Because.' });
    expect(messages(tokens)).toEqual([
      { channel: 'analysis', content: 'Hm.' },
      { channel: 'final', content: 'Because.' },
    ]);
    expect(tokens.at(-1)?.finishReason).toBe('stop');
    const calling = await answer(
      model,
      `${thought} to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>more`,
    );
    expect(messages(calling).at(-1)).toEqual({
      ...{ channel: 'commentary', recipient: 'functions.f', contentType: 'json' },
      content: '{"a": 1}',
    });
    expect(calling.at(-1)).toMatchObject({ finishReason: 'stop', toolCalls: [{ name: 'f', arguments: { a: 1 } }] });
    // The prompt may hold the beginning of the message.
    const begun = model.tokenizer.encode('<|start|>assistant<|channel|>final<|message|>B', { addSpecialTokens: false });
    expect(byChannel(await answer(model, 'ecause.', begun))).toEqual({ final: 'ecause.' });
    model.dispose();
  });
});

describe('Answer', () => {
  const NO_STOP = { stopIds: new Set<number>(), stopStrings: [] };

  async function tokenizerWith(template: string): Promise<Tokenizer> {
    const files = await readTokenizerFiles(modelFolder('llama_gqa_tied'), resolveInFolder);
    return new Tokenizer({ ...files!, chatTemplate: template });
  }
  /** The messages of an answer in which each character is a token of its own, where there is one for it. */
  function spell(tokenizer: Tokenizer, text: string, stopStrings: readonly string[] = []) {
    const tokens = Array.from(text).flatMap((character) => tokenizer.encode(character, { addSpecialTokens: false }));
    const reader = new Answer(tokenizer, [], { ...NO_STOP, stopStrings });
    const steps = tokens.map((token, i) => reader.push(token, i === tokens.length - 1));
    const end = steps.findIndex(({ finishReason }) => finishReason);
    return {
      spans: joinSpans(steps.slice(0, end + 1).flatMap(({ spans }) => spans ?? [])),
      finishReason: steps[end].finishReason,
    };
  }

  it('knows a tag that comes in pieces', async () => {
    const tokenizer = await tokenizerWith(publishedTemplate('qwen3'));
    expect(spell(tokenizer, '<think>é</think>1 < 2')).toEqual({
      spans: [
        { channel: 'reasoning', content: 'é' },
        { channel: 'final', content: '1 < 2' },
      ],
      finishReason: 'length',
    });
  });

  it('takes what only looks like a special token for text', async () => {
    const tokenizer = await loadTokenizer(folders.harmony('llama_untied'));
    const { spans } = spell(tokenizer, 'write <|channel|>final<|message|> to answer');
    expect(spans).toEqual([{ channel: 'final', content: 'write <|channel|>final<|message|> to answer' }]);
  });

  it('looks for stop strings within a message', async () => {
    const tokenizer = await tokenizerWith(publishedTemplate('qwen3'));
    const { spans, finishReason } = spell(tokenizer, '<think>abST</think>OPc STOP d', ['STOP']);
    expect(spans).toEqual([
      { channel: 'reasoning', content: 'abST' },
      { channel: 'final', content: 'OPc ' },
    ]);
    expect(finishReason).toBe('stop');
  });

  it('leaves a plain model as it is, though its vocabulary has the tags', async () => {
    const tokenizer = await loadTokenizer(modelFolder('llama_gqa_tied'));
    expect(tokenizer.channelFormat).toBeUndefined();
    const reader = new Answer(tokenizer, [], NO_STOP);
    const [token] = tokenizer.encode('<think>', { addSpecialTokens: false });
    expect(reader.push(token, true)).toEqual({ text: '<think>', finishReason: 'length' });
  });
});
