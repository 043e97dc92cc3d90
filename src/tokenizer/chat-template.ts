import { DeadlineError, Interrupted, withDeadline } from '../platform/deadline.ts';
import { checkArgument, TEXT } from '../options.ts';
import { VitrineError } from '../errors.ts';
import { checkConversation } from './argument-checks.ts';
import { Budget, LimitError } from './jinja/budget.ts';
import { DataError, fromJavaScript } from './jinja/from-javascript.ts';
import { Interpreter } from './jinja/interpreter.ts';
import { parseTemplate } from './jinja/template-parser.ts';
import { str } from './jinja/repr.ts';
import { occurrences } from './jinja/substring-search.ts';
import { orElse, requireText } from './jinja/value-conversions.ts';
import { Callable, Dict, type Value } from './jinja/python-values.ts';
import { TemplateFault } from './jinja/template-fault.ts';
import { LONGEST_DIRECTIVE, strftime } from './strftime.ts';
import { utf8Length } from './utf8.ts';

/** A message of a conversation. Templates read further fields, such as `tool_calls` or `reasoning_content`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** The variables of a chat template, beside the messages. */
export interface TemplateVariables {
  /** Tools as JSON schemas, for templates that list them. Default: none. */
  readonly tools?: readonly unknown[] | null | undefined;
  /** Whether the text ends with the beginning of the assistant's turn. Default false, as in transformers. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** The time that `strftime_now` formats. Default: the current time. */
  readonly now?: Date | undefined;
  /** Further variables, by the template's names for them: `bos_token`, `enable_thinking` ... */
  readonly [variable: string]: unknown;
}

/** A parsed chat template: a function from messages to text. */
export interface Template {
  (messages: readonly ChatMessage[], variables?: TemplateVariables): string;
  /** The names of all variables that the template reads. */
  readonly variables: ReadonlySet<string>;
  /** Whether the template reads a message's reasoning from a separate field rather than from the content. */
  readonly readsReasoning: boolean;
}

/** A chat template is malformed, rejects the messages (`raise_exception`), or exceeds its limits. */
export class TemplateError extends VitrineError {
  override readonly name = 'TemplateError';
}

/** Bytes of a template in UTF-8. Published templates have up to 30,000. */
const MAX_SOURCE = 256 * 1024;
/**
 * Milliseconds. The interpreter's budget nearly always ends first; the deadline stops work that costs more than is counted.
 * The largest published template takes 0.1 s for a conversation of a thousand messages, and 0.05 s for one of a million
 * characters.
 */
const DEADLINE_MS = 1500;
/** Characters of a template's own text in an error message. */
const MAX_MESSAGE = 500;

/**
 * Renders a conversation with a chat template. See `compileTemplate` for the details, and for parsing a template once.
 *
 * @throws {OptionError} when an argument has the wrong type.
 * @throws {TemplateError} when the template is malformed, rejects the messages or exceeds its limits.
 */
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
 * Parses a Jinja chat template. The result renders as `apply_chat_template` of transformers does: with `trim_blocks`,
 * `lstrip_blocks`, loop controls, Python's values, `raise_exception`, `strftime_now`, `namespace`, `range`, `dict` and
 * `tojson`. Fields of a message that are null are left out, and a message's reasoning is available under each of the names
 * that templates use.
 *
 * @throws {TemplateError} when the template is malformed or too large; the returned function throws it when rendering
 *   fails.
 */
export function compileTemplate(source: string): Template {
  if (typeof source !== 'string') throw new TemplateError(`chat template: expected a text, got ${typeof source}`);
  const size = utf8Length(source);
  if (size > MAX_SOURCE) {
    throw new TemplateError(`chat template: ${size} bytes, expected at most ${MAX_SOURCE}; is it the right file?`);
  }
  const { program, variables, fields } = guarded(() => {
    const parsed = parseTemplate(source);
    return { program: parsed, ...namesIn(parsed) };
  });
  const render = (messages: readonly ChatMessage[], given: TemplateVariables = {}): string => {
    const interpreter = new Interpreter();
    return guarded(
      () => interpreter.render(program, values(messages, given, interpreter.budget)),
      () => interpreter.line,
    );
  };
  return Object.assign(render, { variables, readsReasoning: REASONING.some((name) => fields.has(name)) });
}

/** The variables that the template sees, by name. */
function values(messages: readonly ChatMessage[], given: TemplateVariables, budget: Budget): [string, Value][] {
  const { addGenerationPrompt = false, now = new Date(), tools, ...others } = given;
  if (!(now instanceof Date) || Number.isNaN(now.getTime())) throw new DataError('now: expected a Date that is valid');
  if (!Array.isArray(messages)) throw new DataError(`messages: expected a list, got ${kindOf(messages)}`);
  const all: Record<string, unknown> = {
    tools: tools ?? null,
    documents: null,
    add_generation_prompt: addGenerationPrompt,
    ...others,
  };
  return [
    ...functions(now, budget),
    ['messages', Array.from(messages as readonly ChatMessage[], prepare)],
    ...Object.entries(all)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]): [string, Value] => [name, fromJavaScript(value, name)]),
  ];
}

/** The fields that may hold a message's reasoning. Most templates read the first. */
const REASONING = ['reasoning_content', 'thinking', 'reasoning'] as const;

/** A message as transformers 5 passes it to a template. Source: `_alias_reasoning_fields` in its chat_template_utils.py. */
function prepare(message: ChatMessage, index: number): Dict {
  const name = `messages[${index}]`;
  if (typeof message !== 'object' || (message as unknown) === null || Array.isArray(message))
    throw new DataError(`${name}: expected an object with role and content, got ${kindOf(message)}`);
  const given = fromJavaScript(message, name);
  if (!(given instanceof Dict))
    throw new DataError(`${name}: expected an object with role and content, got ${str(given, new Budget())}`);
  const fields = new Map<string, Value>();
  for (const [key, value] of given.items()) if (value !== null && typeof key === 'string') fields.set(key, value);
  const reasoning = REASONING.map((key) => fields.get(key)).find((value) => value !== undefined);
  if (reasoning === undefined) return new Dict(fields);
  const filled = new Map([['thinking', reasoning] as const, ...fields]);
  return new Dict(filled.set('reasoning_content', reasoning));
}

const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);

/** The cost of finding and replacing one directive of a date format. */
const STEPS_PER_DIRECTIVE = 30;

function functions(now: Date, budget: Budget): [string, Value][] {
  const strftimeNow = new Callable('strftime_now', ({ positional: [given] }) => {
    const format = requireText(given, 'strftime_now');
    const directives = occurrences(format, '%', Infinity, budget).length;
    budget.spend(STEPS_PER_DIRECTIVE * directives);
    budget.spendText(format.length + LONGEST_DIRECTIVE * directives);
    return strftime(now, format);
  });
  const raiseException = new Callable('raise_exception', ({ positional: [message] }) => {
    throw new TemplateError(
      shortened(
        str(
          orElse(message, () => ''),
          budget,
        ),
      ),
    );
  });
  return [
    ['strftime_now', strftimeNow],
    ['raise_exception', raiseException],
  ];
}

/** The names of variables in a parsed template, and all that may be names of fields: attributes and constants. */
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

/**
 * Runs the work of a template under the deadline.
 *
 * @param line The line that runs, for the error; not given while parsing.
 * @throws {TemplateError} when the work fails in any way, except that it passes on Ctrl-C.
 */
function guarded<T>(run: () => T, line?: () => number): T {
  try {
    return withDeadline(DEADLINE_MS, 'chat template', run);
  } catch (error) {
    if (error instanceof TemplateError || error instanceof Interrupted) throw error;
    const where = line && !(error instanceof DataError) ? `line ${line()}: ` : '';
    throw new TemplateError(`chat template: ${where}${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof DeadlineError) return `not done after ${DEADLINE_MS / 1000} s; use another template`;
  if (error instanceof TemplateFault || error instanceof LimitError || error instanceof DataError)
    return shortened(error.message);
  // A template can also exceed the stack or the string length of the JavaScript engine.
  if (error instanceof RangeError && error.message.includes('call stack'))
    return 'nested too deeply; use another template';
  return shortened(`cannot be rendered (${String(error)})`);
}

const shortened = (message: string): string =>
  message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)} ...` : message;
