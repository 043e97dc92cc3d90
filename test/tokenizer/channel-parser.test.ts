import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChannelFormat, channelParser, parseChannels } from '../../src/tokenizer/channels/channel-parser.ts';
import { beginsMessage, type ChannelSpan, joinSpans } from '../../src/tokenizer/channels/spans.ts';
import { compileTemplate } from '../../src/tokenizer/chat-template.ts';
import { readFileSync } from 'node:fs';

const analysis = (content: string) => ({ channel: 'analysis', content });
const final = (content: string) => ({ channel: 'final', content });
const reasoning = (content: string) => ({ channel: 'reasoning', content });
const call = (content: string, contentType?: string) => ({
  ...{ channel: 'commentary', recipient: 'functions.f' },
  ...(contentType !== undefined && { contentType }),
  content,
});

/** `[text, messages, open]` */
const HARMONY: [string, ChannelSpan[], string?][] = [
  ['', []],
  ['<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>', [analysis('Hm.'), final('Yes.')]], // prettier-ignore
  // The recipient in either part, with and without the marker, the type, and the space before it.
  ['<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":1}<|call|>', [call('{"a":1}', 'json')]],
  ['<|channel|>commentary to=functions.f<|constrain|>json<|message|>{}<|call|>', [call('{}', 'json')]],
  ['<|channel|>commentary to=functions.f json<|message|>{}<|call|>', [call('{}', 'json')]],
  ['<|channel|>commentary to=functions.f<|message|>{}', [call('{}')]],
  [' to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>', [call('{}', 'json')]],
  ['<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}<|call|>', [call('{}', 'json')]],
  [' to=functions.f<|message|>{}', [call('{}')]],
  ['<|channel|>analysis to=python code<|message|>1+1<|call|>', [{ ...analysis('1+1'), recipient: 'python', contentType: 'code' }]], // prettier-ignore
  ['<|channel|>commentary<|message|>Let me look.<|end|>', [{ channel: 'commentary', content: 'Let me look.' }]],
  ['<|start|>functions.f to=assistant<|channel|>commentary<|message|>"ok"<|end|>', [{ channel: 'commentary', recipient: 'assistant', content: '"ok"' }]], // prettier-ignore
  // Messages with the same header, and empty ones.
  ['<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b', [analysis('a'), analysis('b')]], // prettier-ignore
  ['<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|><|return|>', [analysis(''), final('')]], // prettier-ignore
  // The prompt began the message.
  ['Yes.<|return|>', [final('Yes.')], 'final'],
  ['m.<|end|><|start|>assistant<|channel|>final<|message|>Yes.', [analysis('m.'), final('Yes.')], 'analysis'],
  // Cut off.
  ['<|channel|>analysis<|message|>Hm', [analysis('Hm')]],
  ['<|channel|>analysis<|message|>Hm<|en', [analysis('Hm<|en')]],
  ['<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>fin', [analysis('Hm')]],
  ['<|channel|>ana', []],
  // Malformed: no content is lost.
  ['Just text.', [final('Just text.')]],
  ['assistants are many', [final('assistants are many')]],
  ['<|message|>Hi<|end|>', [final('Hi')]],
  ['<|channel|>final Hello there<|end|>', [final('Hello there')]],
  ['<|channel|>analysis<|end|><|start|>assistant<|channel|>final<|message|>x', [analysis(''), final('x')]],
  ['<|start|>assistant Hello<|end|>', [final('Hello')]],
  ['<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b', [analysis('a'), final('b')]],
  ['<|channel|>final <|constrain|>', []],
  ['<|channel|>analysis<|channel|>final<|message|>x', [final('x')]],
  ['<|start|>assistant<|message|>to=f<|end|>', [final('to=f')]],
  [
    '<|channel|>commentary to=functions.f <|constrain|>json{}<|call|>',
    [{ channel: 'commentary', content: 'to=functions.f json{}' }],
  ],
  // Within content, markers of a header are content.
  ['<|channel|>analysis<|message|>a<|channel|>final<|message|>b', [analysis('a<|channel|>final<|message|>b')]],
  ['a <|channel|>analysis<|constrain|> b<|end|>', [final('a <|channel|>analysis<|constrain|> b')], 'final'],
  // Text after the end of the answer is dropped.
  ['<|channel|>final<|message|>Yes.<|return|>No.', [final('Yes.')]],
  ['<|channel|>final<|message|>Yes.<|endoftext|>to=f<|message|>No.<|end|>', [final('Yes.')]],
  ['<|channel|>final<|return|> <|channel|>final<|message|>No.', [final('')]],
  ['<|channel|>commentary to=functions.f json<|message|>{}<|call|>{"b":2}<|call|>', [call('{}', 'json')]],
  [
    '<|channel|>final<|message|>Yes.<|return|>x<|start|>assistant<|channel|>final<|message|>y',
    [final('Yes.'), final('y')],
  ],
  ['<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>b', [analysis('a'), final('b')]],
  [
    '<|channel|>analysis<|message|>a<|end|>\n<|start|>assistant<|channel|>final<|message|>b',
    [analysis('a'), final('b')],
  ],
  ['<|channel|>analysis<|message|>a<|end|>and so on', [analysis('a'), final('and so on')]],
  ['<|channel|>final<|message|>a <|message|> b <|constrain|> c', [final('a <|message|> b <|constrain|> c')]],
  ['<|channel|><|channel|>final<|message|>x', [final('x')]],
  ['<|end|><|end|><|start|><|start|>assistant<|channel|>final<|message|>x<|endoftext|>', [final('x')]],
];

const THINK: [string, ChannelSpan[], string?][] = [
  ['', []],
  ['Hello', [final('Hello')]],
  ['<think>\nHm.\n</think>\n\nYes.', [reasoning('\nHm.\n'), final('\n\nYes.')]],
  ['\n<think>Hm.</think>Yes.', [reasoning('Hm.'), final('Yes.')]],
  ['Okay.\n</think>\n\nYes.', [reasoning('Okay.\n'), final('\n\nYes.')], 'reasoning'],
  ['Okay, so', [reasoning('Okay, so')], 'reasoning'],
  ['<think>\nOkay.</think>Yes.', [reasoning('\nOkay.'), final('Yes.')], 'reasoning'],
  ['</think>Yes.', [final('Yes.')], 'reasoning'],
  ['Yes.', [final('Yes.')], 'final'],
  ['<think></think>Yes.', [final('Yes.')]],
  ['<think>a <think> b</think>c </think> d', [reasoning('a <think> b'), final('c </think> d')]],
  // Only the beginning is reasoning: later tags are text.
  ['a<think>b</think>c', [final('a<think>b</think>c')]],
  ['a</think>c', [final('a</think>c')]],
  ['</think>Yes.', [final('</think>Yes.')]],
  [' \n</think>Yes.', [final(' \n</think>Yes.')]],
  ['<think>a</think>```\n<think>b</think>\n```', [reasoning('a'), final('```\n<think>b</think>\n```')]],
  ['<think>a</think></think><think>', [reasoning('a'), final('</think><think>')]],
  ['<think><think>a</think>b', [reasoning('<think>a'), final('b')]],
  ['a</think><think>b</think>c', [reasoning('a'), final('<think>b</think>c')], 'reasoning'],
  ['\n<think>a<think>b', [reasoning('\na<think>b')], 'reasoning'],
  ['<think><think>a', [reasoning('<think>a')], 'reasoning'],
  ['<think>a</think>b', [final('<think>a</think>b')], 'final'],
  ['<think>a', [reasoning('a')]],
  ['1 < 2 <thin', [final('1 < 2 <thin')]],
  ['<think>1 </thin', [reasoning('1 </thin')]],
  [' \n', [final(' \n')]],
];

/** The messages of a text that arrives in pieces. */
function stream(format: ChannelFormat, pieces: readonly string[], open?: string): ChannelSpan[] {
  const parser = channelParser(format, { open });
  return joinSpans([...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()]);
}

/** Numbers from 0 to below `n`, always the same ones. */
function randomNumbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function split(text: string, random: (n: number) => number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const length = random(6);
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

describe.each([
  ['harmony', HARMONY],
  ['think', THINK],
] as const)('parseChannels: %s', (format, cases) => {
  it.each(cases)('parses %j', (text, messages, open) => {
    expect(parseChannels(format, text, { open })).toEqual(messages);
  });

  it('parses the same messages for any division of the text into pieces', () => {
    const random = randomNumbers(1);
    for (const [text, messages, open] of cases) {
      expect(stream(format, Array.from(text), open)).toEqual(messages);
      for (let run = 0; run < 20; run++) expect(stream(format, split(text, random), open)).toEqual(messages);
    }
  });

  it('accepts any text, divided anywhere, and loses no content', () => {
    const random = randomNumbers(2);
    const parts = [
      ...['<|start|>', '<|channel|>', '<|constrain|>', '<|message|>', '<|end|>', '<|call|>', '<|return|>', '<|'],
      ...['<think>', '</think>', '<', '>', ' to=functions.f', 'assistant', 'analysis', 'final', 'x', ' ', '\n', '🦙'],
    ];
    for (let run = 0; run < 2000; run++) {
      const text = Array.from({ length: random(24) }, () => parts[random(parts.length)]).join('');
      const open = [undefined, 'final', 'reasoning'][random(3)];
      const whole = parseChannels(format, text, { open });
      expect(stream(format, split(text, random), open), text).toEqual(whole);
      const said = whole.map(({ content }) => content).join('');
      const wanted = (characters: string) => characters.replace(/[^x🦙]/gu, '');
      if (format === 'think') expect(wanted(said)).toBe(wanted(text));
    }
  });
});

describe('think', () => {
  const parts = ['<think>', '</think>', '<', '>', '<think', '/think>', 'x', ' ', '\n', '🦙', '</', 'think>'];
  const texts = fc.array(fc.constantFrom(...parts), { maxLength: 16 }).map((list) => list.join(''));
  const open = fc.constantFrom(undefined, 'reasoning', 'final');

  it('returns every character once, has reasoning once, and does not depend on the division into pieces', () => {
    fc.assert(
      fc.property(texts, open, fc.array(fc.nat(7)), (text, opened, lengths) => {
        const whole = parseChannels('think', text, { open: opened });
        const pieces: string[] = [];
        let at = 0;
        for (const length of lengths) pieces.push(text.slice(at, (at += length)));
        expect(stream('think', [...pieces, text.slice(at)], opened)).toEqual(whole);
        // Only the tags of the reasoning are left out.
        const pattern = {
          none: /^(?:\s*<think>(?<reasoning>.*?)(?:<\/think>(?<final>.*))?|(?<answer>.*))$/s,
          reasoning: /^(?<before>\s*)(?:<think>)?(?<reasoning>.*?)(?:<\/think>(?<final>.*))?$/s,
          final: /^(?<answer>.*)$/s,
        }[opened ?? 'none'];
        const { before = '', reasoning: thought = '', final: said = '', answer = '' } = pattern.exec(text)!.groups!;
        const expected = [reasoning(before + thought), final(said + answer)].filter(({ content }) => content !== '');
        expect(whole).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('channelParser', () => {
  it('announces a message with an empty span when its header equals the last one', () => {
    const parser = channelParser('harmony');
    const pieces = [
      '<|channel|>analysis<|mess',
      'age|>',
      'a',
      'b<|end|><|start|>assistant<|channel|>analysis<|message|>c',
      'd',
    ];
    expect(pieces.map((piece) => parser.push(piece))).toEqual([
      [],
      [analysis('')],
      [analysis('a')],
      [analysis('b'), analysis(''), analysis('c')],
      [analysis('d')],
    ]);
    expect(beginsMessage(analysis(''), { channel: 'analysis' })).toBe(true);
  });

  it('holds back only text that may become a marker', () => {
    const parser = channelParser('think');
    const shown = Array.from('a <b> <thin> ').map((piece) =>
      parser
        .push(piece)
        .map(({ content }) => content)
        .join(''),
    );
    expect(shown).toEqual(['a', ' ', '', '<b', '>', ' ', '', '', '', '', '', '<thin>', ' ']);
  });

  it('says which channel is open', () => {
    const parser = channelParser('harmony');
    parser.push('<|start|>assistant<|channel|>final<|message|>');
    expect(parser.open).toBe('final');
    parser.push('<|end|>');
    expect(parser.open).toBeUndefined();
  });
});

describe('the chat template of gpt-oss', () => {
  const template = compileTemplate(readFileSync('test/fixtures/templates/published/gpt-oss.jinja', 'utf8'));
  const user = (content: string) => ({ role: 'user', content });
  const said = (text: string) => parseChannels('harmony', text.slice(text.indexOf('<|start|>user')));
  const toolCall = { type: 'function', function: { name: 'f', arguments: { a: 1 } } };

  it('drops the reasoning of turns that were answered', () => {
    const text = template([user('q'), { role: 'assistant', thinking: 'hm', content: 'a' }, user('r')]);
    expect(said(text).map(({ channel, content }) => [channel, content])).toEqual([
      ['final', 'q'],
      ['final', 'a'],
      ['final', 'r'],
    ]);
  });

  it('keeps the reasoning before a tool call that has no answer yet', () => {
    const messages = [
      user('q'),
      { role: 'assistant', thinking: 'hm', tool_calls: [toolCall] },
      { role: 'tool', content: 'ok' },
    ];
    expect(said(template(messages, { addGenerationPrompt: true }))).toEqual([
      final('q'),
      analysis('hm'),
      { ...call('{"a": 1}', 'json') },
      { channel: 'commentary', recipient: 'assistant', content: '"ok"' },
    ]);
  });
});
