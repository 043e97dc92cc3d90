import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Answer, type AnswerStep } from '../../../src/engine/generate/answer.ts';
import { type GeneratedToken, load, loadTokenizer, type Model, type Prompt, Tokenizer } from '../../../src/index.ts';
import { ModelFolder } from '../../../src/loader/files/model-folder.ts';
import { readTokenizerFiles } from '../../../src/tokenizer/tokenizer-files.ts';
import { joinSpans } from '../../../src/tokenizer/channels/spans.ts';
import { modelFolder } from '../../support/fixtures.ts';
import { publishedTemplate, ReasoningModels, saying } from '../../support/reasoning-models.ts';

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

const CHATML = `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`;

describe('Answer', () => {
  const NO_STOP = { stopIds: new Set<number>(), stopStrings: [] };

  async function tokenizerWith(template: string): Promise<Tokenizer> {
    const files = await readTokenizerFiles(new ModelFolder(modelFolder('llama_gqa_tied')));
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

  /** An answer of text and tokens, as `a<|im_end|>b` spells them. */
  function say(tokenizer: Tokenizer, text: string, stops: readonly (string | number)[] = [], before = '') {
    const encode = (spelled: string) => tokenizer.encode(spelled, { addSpecialTokens: false });
    const tokens = encode(text);
    const reader = new Answer(tokenizer, encode(before), {
      stopIds: new Set(stops.filter((stop) => typeof stop === 'number')),
      stopStrings: stops.filter((stop) => typeof stop === 'string'),
    });
    const steps: AnswerStep[] = [];
    for (const [i, token] of tokens.entries()) {
      steps.push(reader.push(token, i === tokens.length - 1));
      if (steps.at(-1)!.finishReason) break;
    }
    const { finishReason, toolCalls } = steps.at(-1)!;
    return {
      text: steps.map((step) => step.text).join(''),
      spans: joinSpans(steps.flatMap(({ spans }) => spans ?? [])),
      finishReason,
      ...(toolCalls && { toolCalls }),
    };
  }

  const TAGS = ['<think>a</think>x <think>b</think> y</think>', 'x<think>b</think>', '</think>x'] as const;

  it.each([['qwen3'], ['without the tags as tokens']])(
    'takes later tags for text, as tokens or in pieces: %s',
    async (kind) => {
      const tokenizer = await tokenizerWith(publishedTemplate('qwen3'));
      const run = kind === 'qwen3' ? (text: string) => say(tokenizer, text) : (text: string) => spell(tokenizer, text);
      expect(TAGS.map((text) => run(text).spans)).toEqual([
        [
          { channel: 'reasoning', content: 'a' },
          { channel: 'final', content: 'x <think>b</think> y</think>' },
        ],
        [{ channel: 'final', content: 'x<think>b</think>' }],
        [{ channel: 'final', content: '</think>x' }],
      ]);
    },
  );

  it.each([
    // `[prompt, answer, reasoning, what is said]`
    ['<|im_start|>assistant\n<think>\n', 'a</think>b<think>', 'a', 'b<think>'],
    ['<|im_start|>assistant\n', '<think>a</think>b', 'a', 'b'],
    ['<|im_start|>assistant\n<think>\n\n</think>\n\n', '<think>a</think>b', '', '<think>a</think>b'],
    ['<|im_start|>assistant\nSo', '<think>a</think>b', '', '<think>a</think>b'],
    ['<|im_start|>assistant\n<think>x <tool_call>', 'a</think>b', 'a', 'b'],
    ['<|im_start|>user\nwhat is <think>?<|im_end|>\n<|im_start|>assistant\n', 'a</think>b', '', 'a</think>b'],
    ['<|im_start|>assistant\n<think>a</think>use `<think>`', 'b', '', 'b'],
    ['Think! <think>', 'a</think>b', 'a', 'b'],
  ])('knows what the prompt %j opened', async (before, text, reasoning, said) => {
    const tokenizer = await tokenizerWith(publishedTemplate('qwen3'));
    const { spans } = say(tokenizer, text, [], before);
    const content = (wanted: string) => spans.map((span) => (span.channel === wanted ? span.content : '')).join('');
    expect([content('reasoning'), content('final')]).toEqual([reasoning, said]);
  });

  it('calls no tool in reasoning, nor in a code block', async () => {
    const tokenizer = await tokenizerWith(publishedTemplate('qwen3'));
    const call = (name: string) => `<tool_call>{"name":"${name}","arguments":{}}</tool_call>`;
    const g = [{ name: 'g', arguments: {} }];
    expect(say(tokenizer, `<think>${call('f')}</think>No.`).toolCalls).toBeUndefined();
    expect(say(tokenizer, `<think>${call('f')}`).toolCalls).toBeUndefined();
    expect(say(tokenizer, `<think>${call('f')}</think>${call('g')}`).toolCalls).toEqual(g);
    const opened = '<|im_start|>assistant\n<think>\n';
    expect(say(tokenizer, call('f'), [], opened).toolCalls).toBeUndefined();
    expect(say(tokenizer, `${call('f')}</think>${call('g')}`, [], opened).toolCalls).toEqual(g);
    expect(say(tokenizer, `Say:\n\`\`\`\n${call('f')}\n\`\`\`\n`).toolCalls).toBeUndefined();
    // What a stop string ends is a call all the same, as it is where a token ends it.
    expect(say(tokenizer, call('g'), ['</tool_call>']).toolCalls).toEqual(g);
    const quoting = { name: 'f', arguments: { text: '</think>' } };
    expect(say(tokenizer, `<tool_call>${JSON.stringify(quoting)}</tool_call>`).toolCalls).toEqual([quoting]);
  });

  it.each([
    ['<|im_start|>', 'a <|im_start|>b', 'a '],
    ['\n<|im_start|>', 'a\n\n<|im_start|>b', 'a\n'],
    ['x<|im_start|>user', 'ax<|im_start|>usx<|im_start|>user', 'ax<|im_start|>us'],
    ['b<|im_end|>', 'ab<|im_end|>', 'a'],
    ['<|im_end|><|im_start|>', 'a<|im_end|><|im_start|>b', 'a'],
    ['</think>', '<think>a</think>b', 'a'],
    ['é<|im_start|>', 'aé<|im_start|>b', 'a'],
    ['b<|im_start|>', 'ab', 'ab'],
  ])('stops at %j in %j', async (stop, text, shown) => {
    for (const template of [publishedTemplate('qwen3'), CHATML]) {
      const tokenizer = await tokenizerWith(template);
      if (template === CHATML && stop === '</think>') continue;
      const expected = tokenizer.decode(tokenizer.encode(shown), { skipSpecialTokens: true });
      const isFound = text.includes(stop);
      expect(say(tokenizer, text, [stop])).toMatchObject({ text: expected, finishReason: isFound ? 'stop' : 'length' });
      const [id, ...more] = tokenizer.encode(stop);
      if (more.length === 0) expect(say(tokenizer, text, [stop])).toEqual(say(tokenizer, text, [id]));
    }
  });

  it('gives the bytes before a stop string that is a special token', async () => {
    const tokenizer = await tokenizerWith(CHATML);
    const reader = new Answer(tokenizer, [], { stopIds: new Set(), stopStrings: ['<|im_start|>'] });
    const [byte] = tokenizer.encode('🦙');
    expect(reader.push(byte, false)).toEqual({ text: '' });
    expect(reader.push(tokenizer.idOf('<|im_start|>')!, false)).toEqual({ text: '\ufffd', finishReason: 'stop' });
  });

  it('finds stop strings with markers of harmony, beside those within a message', async () => {
    const tokenizer = await loadTokenizer(folders.harmony('llama_untied'));
    const text = '<|channel|>analysis<|message|>a b<|end|><|start|>assistant<|channel|>final<|message|>c d<|return|>';
    expect(say(tokenizer, text, ['b<|end|>']).spans).toEqual([{ channel: 'analysis', content: 'a ' }]);
    expect(say(tokenizer, text, ['<|channel|>final']).spans).toEqual([{ channel: 'analysis', content: 'a b' }]);
    expect(say(tokenizer, text, ['<|end|>'])).toEqual(say(tokenizer, text, [tokenizer.idOf('<|end|>')!]));
    // A header is no content.
    expect(say(tokenizer, text, ['assistant', 'final', ' d']).text).toBe('a bc');
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

  it.each(['metaspace_llama2', 'metaspace_pre', 'metaspace_gemma', 'bpe_llama3'])(
    'goes on with a text where it ended, and begins an answer without a space: %s',
    async (name) => {
      const tokenizer = await loadTokenizer(join('test', 'fixtures', 'tokenizers', name));
      const ids = tokenizer.encode('hello world');
      const word = ids.slice(tokenizer.encode('hello').length);
      const text = (before: readonly number[], tokens: readonly number[], continuesText?: boolean) => {
        const reader = new Answer(tokenizer, before, NO_STOP, continuesText);
        return tokens.map((token, i) => reader.push(token, i === tokens.length - 1).text).join('');
      };
      expect(text(tokenizer.encode('hello'), word)).toBe(' world');
      const chat = tokenizer.renderChat([{ role: 'user', content: 'hello' }], { addGenerationPrompt: true }).tokens;
      expect(text(chat, word)).toBe(tokenizer.decode(word));
      // Within the answer, and where a text is given as it is.
      expect(text([...chat, ...word], word)).toBe(' world');
      expect(text(chat, word, true)).toBe(' world');
    },
  );

  it('leaves a plain model as it is, though its vocabulary has the tags', async () => {
    const tokenizer = await loadTokenizer(modelFolder('llama_gqa_tied'));
    expect(tokenizer.channelFormat).toBeUndefined();
    const reader = new Answer(tokenizer, [], NO_STOP);
    const [token] = tokenizer.encode('<think>', { addSpecialTokens: false });
    expect(reader.push(token, true)).toEqual({ text: '<think>', finishReason: 'length' });
  });
});
