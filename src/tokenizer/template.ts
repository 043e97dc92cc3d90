import * as jinja from '@huggingface/jinja';
import { VitrineError } from '../tensor/errors.ts';
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
export type Template = (messages: readonly ChatMessage[], variables?: TemplateVariables) => string;

/** A chat template is malformed, refused the messages (`raise_exception`), or went beyond its limits. */
export class TemplateError extends VitrineError {
  override readonly name = 'TemplateError';
}

/** A template comes with the model, from whoever made it: it gets time and memory for any honest conversation. */
const LIMITS = {
  /** Bytes of a template; published ones have up to 20,000. */
  source: 256 * 1024,
  /** Characters of any string made on the way; a context of a million tokens has about as many. */
  text: 4 * 2 ** 20,
  items: 1_000_000,
  /** Evaluated expressions, in all about three seconds. */
  steps: 10_000_000,
  /** What an iteration costs the interpreter, in steps. */
  iteration: 10,
};

/** Renders a chat template: see `compileTemplate`, which parses once for many conversations. */
export function renderTemplate(
  template: string,
  messages: readonly ChatMessage[],
  variables: TemplateVariables = {},
): string {
  return compileTemplate(template)(messages, variables);
}

/**
 * Parses a Jinja chat template, with transformers' settings (`trim_blocks`, `lstrip_blocks`, loop controls) and globals
 * (`raise_exception`, `strftime_now`, `namespace`, `range`).
 *
 * @throws {TemplateError} where it is no template; the returned function throws it where rendering fails.
 */
export function compileTemplate(source: string): Template {
  const size = Buffer.byteLength(source);
  if (size > LIMITS.source) {
    throw new TemplateError(`chat template: ${size} bytes, expected at most ${LIMITS.source}; is it the right file?`);
  }
  const program = guarded(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })));
  return (messages, { addGenerationPrompt = false, now, tools, ...variables } = {}) =>
    guarded(() => {
      const environment = new Environment();
      const all = { messages, tools: tools ?? null, documents: null, add_generation_prompt: addGenerationPrompt };
      for (const [name, value] of Object.entries({ ...globals(now), ...all, ...variables }))
        environment.set(name, value);
      return new BoundedInterpreter(environment).run(program).value as string;
    });
}

function globals(now = new Date()): Record<string, unknown> {
  return {
    ...{ true: true, True: true, false: false, False: false, none: null, None: null },
    range,
    strftime_now: (format: string) => strftime(now, format),
    raise_exception: (message: unknown) => {
      throw new TemplateError(String(message));
    },
  };
}

function range(...given: number[]): number[] {
  const [start, stop, step = 1] = given.length === 1 ? [0, given[0]] : (given as [number, number, number?]);
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!Number.isSafeInteger(count)) throw new TemplateError(`chat template: range(${given.join(', ')}) is not a range`);
  checkLimit(count, LIMITS.items, 'items in a list');
  return Array.from({ length: count }, (_, i) => start + i * step);
}

// What is used of `@huggingface/jinja`, whose own declarations do not resolve in ES modules.
interface Value {
  readonly value: unknown;
}
interface Statement {
  readonly type: string;
  readonly iterable?: Statement & { readonly lhs?: Statement };
}
interface Library {
  tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => unknown;
  parse: (tokens: unknown) => Statement;
  Environment: new () => { set(name: string, value: unknown): void };
  Interpreter: new (environment: object) => {
    run(program: Statement): Value;
    evaluate(statement: Statement | undefined, environment: object): Value;
  };
}
const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Library;

/** An interpreter that stops when a template takes too long or makes too much: the library itself has no bounds. */
class BoundedInterpreter extends Interpreter {
  private steps = 0;
  /** What loops go over: their items count as steps. */
  private readonly iterated = new Set<Statement | undefined>();

  override evaluate(statement: Statement | undefined, environment: object): Value {
    const iterable = statement?.type === 'For' ? statement.iterable : undefined;
    if (iterable) this.iterated.add(iterable.type === 'SelectExpression' ? iterable.lhs : iterable);
    const result = super.evaluate(statement, environment);
    this.steps += 1;
    if (typeof result.value === 'string') checkLimit(result.value.length, LIMITS.text, 'characters of text');
    if (Array.isArray(result.value)) {
      checkLimit(result.value.length, LIMITS.items, 'items in a list');
      if (this.iterated.has(statement)) this.steps += result.value.length * LIMITS.iteration;
    }
    checkLimit(this.steps, LIMITS.steps, 'steps');
    return result;
  }
}

function checkLimit(count: number, limit: number, what: string): void {
  if (count > limit) throw new TemplateError(`chat template: more than ${limit} ${what}; use another template`);
}

function guarded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TemplateError(`chat template: ${reason}`, { cause: error });
  }
}
