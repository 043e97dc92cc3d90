import { isObject } from '../json.ts';
import { type Check, checkArgument } from '../options.ts';
import { parseChannels } from './channels/channel-parser.ts';
import { type ChannelSpan, SPANS } from './channels/spans.ts';

/** A call of a tool in a model's answer. */
export interface ToolCall {
  /** The tool's name. */
  readonly name: string;
  /** The parsed JSON; the text itself if it is not valid JSON. */
  readonly arguments: unknown;
}

/**
 * The tool calls in an answer: messages with a recipient in harmony, or one of these spellings in a text:
 * - Hermes, Qwen: `<tool_call>{"name": ..., "arguments": ...}</tool_call>`
 * - DeepSeek: between its tokens for tool calls
 * - Mistral: a list after `[TOOL_CALLS]`
 * - Llama 3: only an object with `name` and `parameters`, with or without `<|python_tag|>` before it
 *
 * A call in the reasoning, in a code block or between backticks does not count. The reasoning ends at the first `</think>`,
 * even if the prompt holds the opening tag.
 *
 * @param answer A text with its special tokens, or the messages of `parseChannels` for harmony.
 * @throws {OptionError} when it is neither.
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

/** The tool calls in a text without reasoning: see `parseToolCalls`. */
export function spelledToolCalls(text: string): ToolCall[] {
  return [TAGGED, DEEPSEEK, MISTRAL, LLAMA].map((read) => read(text)).find((calls) => calls.length > 0) ?? [];
}

function withoutReasoning(text: string): string {
  const spans = parseChannels('think', text);
  if (spans.some(({ channel }) => channel === 'reasoning')) {
    return spans.map(({ channel, content }) => (channel === 'final' ? content : '')).join('');
  }
  // The opening tag is in the prompt, unless the closing one is part of a call's arguments.
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

/** The texts between opening and closing tags outside of code. One without a closing tag is left out. */
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

/**
 * The fence of the code block that is open at the end of a text; undefined when none is. Blocks in lists and quotes count.
 *
 * Source: CommonMark 0.31.2, fenced code blocks.
 *
 * @param open The fence that is open at the beginning.
 */
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
