import { checkArgument, TEXT } from '../options.ts';
import { VitrineError } from '../tensor/errors.ts';
import { checkConversation } from './arguments.ts';
import { Budget, LimitError } from './jinja/budget.ts';
import { Interpreter } from './jinja/interpreter.ts';
import { parse } from './jinja/parser.ts';
import { str } from './jinja/print.ts';
import { Callable, Dict, fromJavaScript, TemplateFault, text, type Value } from './jinja/values.ts';
import { strftime } from './strftime.ts';

/** A message of a conversation. Templates read further fields, such as `tool_calls` or `reasoning_content`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

export interface TemplateVariables {
  /** Tools as JSON schemas, for templates that list them. */
  readonly tools?: readonly unknown[] | null | undefined;
  /** Ends the text with the start of the assistant's turn. Default false, as in transformers. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** The time that `strftime_now` shows. Default: the current time. */
  readonly now?: Date | undefined;
  /** Further variables by the names that the template uses: `bos_token`, `enable_thinking` ... */
  readonly [variable: string]: unknown;
}

/** A parsed chat template. */
export interface Template {
  (messages: readonly ChatMessage[], variables?: TemplateVariables): string;
  /** The names of all variables that it reads. */
  readonly variables: ReadonlySet<string>;
  /** Whether it takes a message's reasoning from a field of its own, rather than out of the content. */
  readonly readsReasoning: boolean;
}

/** A chat template is malformed, refused the messages (`raise_exception`), or went beyond its limits. */
export class TemplateError extends VitrineError {
  override readonly name = 'TemplateError';
}

/** Bytes of a template; published ones have up to 30,000. */
const MAX_SOURCE = 256 * 1024;

/** Renders a chat template: see `compileTemplate`, which parses once for many conversations. */
export function renderTemplate(
  template: string,
  messages: readonly ChatMessage[],
  variables: TemplateVariables = {},
): string {
  checkArgument('renderTemplate', 'the template', template, TEXT);
  checkConversation('renderTemplate', messages, variables);
  return compileTemplate(template)(messages, variables);
}

/**
 * Parses a Jinja chat template. It renders as with transformers' `apply_chat_template`: `trim_blocks`, `lstrip_blocks`,
 * loop controls, Python's values, `raise_exception`, `strftime_now`, `namespace`, `range`, `dict` and `tojson`; and a
 * message's fields that are null are left out, and its reasoning is known by each of its names.
 *
 * @throws {TemplateError} where it is no template; the returned function throws it where rendering fails.
 */
export function compileTemplate(source: string): Template {
  const size = Buffer.byteLength(source);
  if (size > MAX_SOURCE) {
    throw new TemplateError(`chat template: ${size} bytes, expected at most ${MAX_SOURCE}; is it the right file?`);
  }
  const program = guarded(() => parse(source));
  const render = (messages: readonly ChatMessage[], variables: TemplateVariables = {}): string => {
    const { addGenerationPrompt = false, now = new Date(), tools, ...others } = variables;
    const interpreter = new Interpreter();
    return guarded(
      () => {
        const all: Record<string, unknown> = {
          tools: tools ?? null,
          documents: null,
          add_generation_prompt: addGenerationPrompt,
          ...others,
        };
        return interpreter.render(program, [
          ...functions(now),
          ['messages', messages.map(prepare)],
          ...Object.entries(all)
            .filter(([, value]) => value !== undefined)
            .map(([name, value]): [string, Value] => [name, fromJavaScript(value)]),
        ]);
      },
      () => interpreter.line,
    );
  };
  const { variables, fields } = namesIn(program);
  return Object.assign(render, { variables, readsReasoning: REASONING.some((name) => fields.has(name)) });
}

/** Names under which a message's reasoning is passed; the first is the one that most templates read. */
const REASONING = ['reasoning_content', 'thinking', 'reasoning'] as const;

/** A message as transformers 5 gives it to a template. Source: `_alias_reasoning_fields` of its chat_template_utils.py. */
function prepare(message: ChatMessage): Dict {
  const fields = Object.entries(message as Record<string, unknown>).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  const given = new Map(fields);
  const reasoning = REASONING.map((name) => given.get(name)).find((value) => value !== undefined);
  if (reasoning === undefined) return new Dict(fields.map(([name, value]) => [name, fromJavaScript(value)]));
  const filled = { thinking: reasoning, ...Object.fromEntries(fields), reasoning_content: reasoning };
  return new Dict(Object.entries(filled).map(([name, value]) => [name, fromJavaScript(value)]));
}

function functions(now: Date): [string, Value][] {
  const strftimeNow = new Callable('strftime_now', ({ positional: [format] }) =>
    strftime(now, text(format, 'strftime_now')),
  );
  const raiseException = new Callable('raise_exception', ({ positional: [message] }) => {
    throw new TemplateError(str(message, new Budget()));
  });
  return [
    ['strftime_now', strftimeNow],
    ['raise_exception', raiseException],
  ];
}

/** The variables that a parsed template reads, and what may be the names of fields: attributes, and all texts. */
function namesIn(program: unknown): { variables: Set<string>; fields: Set<unknown> } {
  const variables = new Set<string>();
  const fields = new Set<unknown>();
  const open: unknown[] = [program];
  while (open.length > 0) {
    const node = open.pop();
    if (typeof node !== 'object' || node === null) continue;
    const { type, name, value } = node as { type?: string; name?: string; value?: unknown };
    if (type === 'name') variables.add(name!);
    if (type === 'attribute') fields.add(name);
    if (type === 'constant') fields.add(value);
    open.push(...(Object.values(node) as unknown[]));
  }
  return { variables, fields };
}

/** Runs what a template makes run, and tells what goes wrong in it, with the line where there is one. */
function guarded<T>(run: () => T, line?: () => number): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    const isOurs = error instanceof TemplateFault || error instanceof LimitError;
    // What is left is the engine's stack and string lengths, which a template can exceed as well.
    const reason = isOurs ? error.message : `cannot be rendered (${String(error)})`;
    const where = line ? `line ${line()}: ` : '';
    throw new TemplateError(`chat template: ${where}${reason}`, { cause: error });
  }
}
