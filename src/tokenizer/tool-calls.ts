import { isObject } from '../json.ts';
import { type Check, checkArgument } from '../options.ts';
import { parseChannels } from './channels/channel-parser.ts';
import { type ChannelSpan, SPANS } from './channels/spans.ts';

/** A tool that the model wants called. */
export interface ToolCall {
  readonly name: string;
  /** The parsed JSON, or the text where it is none. */
  readonly arguments: unknown;
}

/**
 * The tool calls in an answer: harmony messages with a recipient, or text in which they are spelled as Hermes and Qwen
 * (`<tool_call>{"name": ..., "arguments": ...}</tool_call>`), DeepSeek (its tool tokens), Mistral (`[TOOL_CALLS]`) or
 * Llama 3 (an object with `name` and `parameters` and nothing else, perhaps behind `<|python_tag|>`) do.
 *
 * What a model only considered, or shows, is no call: neither in its reasoning, which ends at the first `</think>` even
 * where the prompt began it, nor as code, in a fenced block or between backticks.
 *
 * @param answer The text with its special tokens, or the messages that `parseChannels` gives for harmony.
 */
export function parseToolCalls(answer: string | readonly ChannelSpan[]): ToolCall[] {
  checkArgument('parseToolCalls', 'the answer', answer, ANSWER);
  if (typeof answer === 'string') return spelledToolCalls(withoutReasoning(answer));
  return answer.flatMap(({ recipient, content }) => {
    if (recipient === undefined || ['assistant', 'user', 'all'].includes(recipient)) return [];
    return [{ name: recipient.replace(/^functions\./, ''), arguments: parsed(content) }];
  });
}

const ANSWER: Check = {
  words: 'a text, or the messages of parseChannels',
  holds: (value) => typeof value === 'string' || SPANS.holds(value),
};

/** The tool calls in a text without reasoning. */
export function spelledToolCalls(text: string): ToolCall[] {
  return [TAGGED, DEEPSEEK, MISTRAL, LLAMA].map((read) => read(text)).find((calls) => calls.length > 0) ?? [];
}

function withoutReasoning(text: string): string {
  const spans = parseChannels('think', text);
  if (spans.some(({ channel }) => channel === 'reasoning')) {
    return spans.map(({ channel, content }) => (channel === 'final' ? content : '')).join('');
  }
  // The prompt began the reasoning, unless the tag stands within the arguments of a call.
  const end = text.indexOf('</think>');
  if (end < 0 || MARKUP.some(([open, close]) => text.lastIndexOf(open, end) > text.lastIndexOf(close, end)))
    return text;
  return [MISTRAL, LLAMA].some((read) => read(text).length > 0) ? text : text.slice(end + '</think>'.length);
}

type Reader = (text: string) => ToolCall[];

const TOOL_CALL = ['<tool_call>', '</tool_call>'] as const;
const DEEPSEEK_CALL = ['<｜tool▁call▁begin｜>', '<｜tool▁call▁end｜>'] as const;
const MARKUP = [TOOL_CALL, DEEPSEEK_CALL];

const TAGGED: Reader = (text) =>
  between(text, ...TOOL_CALL).flatMap((body) => callOf(parsed(body.trim()), 'arguments'));

const DEEPSEEK: Reader = (text) =>
  between(text, ...DEEPSEEK_CALL).flatMap((body) => {
    const [before, ...rest] = body.split('<｜tool▁sep｜>');
    if (rest.length === 0) return [];
    // V3 and R1 write `function<sep>NAME` and a fenced block; V3.1 writes `NAME<sep>` and the arguments.
    const fenced = /^([^\n]+)\n```json\n([\s\S]*?)\n?```/.exec(rest.join(''));
    const [name, json] = fenced ? [fenced[1], fenced[2]] : [before, rest.join('')];
    return [{ name: name.trim(), arguments: parsed(json.trim()) }];
  });

const MISTRAL: Reader = (text) => {
  const [, body] = text.split('[TOOL_CALLS]');
  const calls = parsed((body as string | undefined)?.replace(/<\/s>$/, '').trim() ?? '');
  return Array.isArray(calls) ? calls.flatMap((call) => callOf(call, 'arguments')) : [];
};

const LLAMA: Reader = (text) => {
  const body = text.replace(/^\s*<\|python_tag\|>/, '').replace(/<\|e(?:o[mt]_id|nd_of_text)\|>$/, '');
  const call = parsed(body.trim());
  const isCall = isObject(call) && Object.keys(call).every((key) => ['name', 'parameters', 'type'].includes(key));
  return isCall ? callOf(call, 'parameters') : [];
};

function callOf(value: unknown, field: 'arguments' | 'parameters'): ToolCall[] {
  if (!isObject(value) || typeof value.name !== 'string' || value[field] === undefined) return [];
  const given = value[field];
  return [{ name: value.name, arguments: typeof given === 'string' ? parsed(given) : given }];
}

/** What stands between opening and closing tags, outside of code; a call that was cut off is none. */
function between(text: string, open: string, close: string): string[] {
  const bodies: string[] = [];
  let fence: string | undefined;
  let from = 0;
  for (let at = text.indexOf(open); at >= 0; at = text.indexOf(open, from)) {
    fence = fenceAfter(text.slice(from, at), fence);
    from = at + open.length;
    const end = text.indexOf(close, from);
    if (end < 0) break;
    const isInlineCode = text[at - 1] === '`' && text[end + close.length] === '`';
    if (fence !== undefined || isInlineCode) continue;
    bodies.push(text.slice(from, end));
    from = end + close.length;
  }
  return bodies;
}

/** The fence of the code block that is open behind a text; in lists and quotes too. Source: CommonMark 0.31.2, fenced code blocks. */
function fenceAfter(text: string, open: string | undefined): string | undefined {
  let fence = open;
  for (const [, marks, info] of text.matchAll(/^(?:[ \t>]|(?:[-*+]|\d{1,9}[.)])[ \t])*(`{3,}|~{3,})(.*)$/gm)) {
    if (fence === undefined) fence = marks.startsWith('`') && info.includes('`') ? undefined : marks;
    else if (marks.startsWith(fence) && info.trim() === '') fence = undefined;
  }
  return fence;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
