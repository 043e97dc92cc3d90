import { isObject } from '../json.ts';
import { type Check, checkArgument } from '../options.ts';
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
 * @param answer The text with its special tokens, or the messages that `parseChannels` gives for harmony.
 */
export function parseToolCalls(answer: string | readonly ChannelSpan[]): ToolCall[] {
  checkArgument('parseToolCalls', 'the answer', answer, ANSWER);
  if (typeof answer === 'string') return [TAGGED, DEEPSEEK, MISTRAL, LLAMA].map((read) => read(answer)).find((calls) => calls.length > 0) ?? []; // prettier-ignore
  return answer.flatMap(({ recipient, content }) => {
    if (recipient === undefined || ['assistant', 'user', 'all'].includes(recipient)) return [];
    return [{ name: recipient.replace(/^functions\./, ''), arguments: parsed(content) }];
  });
}

const ANSWER: Check = {
  words: 'a text, or the messages of parseChannels',
  holds: (value) => typeof value === 'string' || SPANS.holds(value),
};

type Reader = (text: string) => ToolCall[];

const TAGGED: Reader = (text) =>
  between(text, '<tool_call>', '</tool_call>').flatMap((body) => callOf(parsed(body.trim()), 'arguments'));

const DEEPSEEK: Reader = (text) =>
  between(text, '<｜tool▁call▁begin｜>', '<｜tool▁call▁end｜>').flatMap((body) => {
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

/** What stands between each opening and closing tag; a call that was cut off is none. */
function between(text: string, open: string, close: string): string[] {
  return text.split(open).slice(1).flatMap((part) => (part.includes(close) ? [part.slice(0, part.indexOf(close))] : [])); // prettier-ignore
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
