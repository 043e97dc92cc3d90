import { isObject, type Json, parseJson } from '../json.ts';
import { VitrineError } from '../errors.ts';
import { TokenizerError } from './json-fields.ts';

export { TokenizerError };

/** The parsed files of a tokenizer, from a folder or from GGUF metadata. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json; empty when there is none. */
  readonly config: Readonly<Record<string, unknown>>;
  /** special_tokens_map.json of older models; ignored when the configuration lists added tokens. */
  readonly specialTokensMap?: Readonly<Record<string, unknown>> | undefined;
  /** added_tokens.json of older models: ids by spelling; ignored likewise. */
  readonly addedTokens?: Readonly<Record<string, unknown>> | undefined;
  /** chat_template.jinja, or `chat_template` of tokenizer_config.json. */
  readonly chatTemplate: string | undefined;
  /** The template named `tool_use`, if the model has a separate one for conversations with tools. */
  readonly toolTemplate?: string | undefined;
}

const MiB = 2 ** 20;
/** Bytes of a file; far above the largest published ones (tokenizer.json: 33 MB). */
const LIMITS = { tokenizer: 128 * MiB, config: 16 * MiB, template: MiB };
/** JSON values in tokenizer.json. The largest published file has 1.9 million: each merge is a list of two. */
const MAX_VALUES = 4_000_000;

/** Reads a model's files by name, with `/` as separator. */
export interface FileSource {
  /** The folder or archive, for messages. */
  readonly path: string;
  /**
   * The bytes of a file; undefined when there is none.
   *
   * @throws {VitrineError} when it has more than `maxBytes`, is no regular file, or lies outside of the source.
   */
  readIfThere(name: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

/**
 * Reads a model's tokenizer.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json and chat templates. As in
 * transformers, chat_template.jinja (and additional_chat_templates/tool_use.jinja) override `chat_template` of the
 * configuration, which may be one template or a list of named ones.
 *
 * @returns the files; undefined when there is no tokenizer.json.
 * @throws {TokenizerError} that names the file, when one is too large, not UTF-8, no JSON object, or links elsewhere.
 */
export async function readTokenizerFiles(source: FileSource): Promise<TokenizerFiles | undefined> {
  const [tokenizer, config, specialTokensMap, addedTokens, template, toolTemplate] = await Promise.all([
    readObject(source, 'tokenizer.json', LIMITS.tokenizer, MAX_VALUES),
    readObject(source, 'tokenizer_config.json', LIMITS.config),
    readObject(source, 'special_tokens_map.json', LIMITS.config),
    readObject(source, 'added_tokens.json', LIMITS.config),
    readText(source, 'chat_template.jinja', LIMITS.template),
    readText(source, 'additional_chat_templates/tool_use.jinja', LIMITS.template),
  ]);
  if (tokenizer === undefined) return undefined;
  const templates =
    template === undefined
      ? namedTemplates(config?.chat_template, `${source.path}/tokenizer_config.json`)
      : { default: template, tool_use: toolTemplate };
  return {
    tokenizer,
    config: config ?? {},
    specialTokensMap,
    addedTokens,
    chatTemplate: templates.default,
    toolTemplate: templates.tool_use,
  };
}

/** The field `chat_template` of tokenizer_config.json: a template, or `[{ name, template }]`. */
function namedTemplates(value: unknown, file: string): { default?: string; tool_use?: string } {
  if (value === undefined || value === null) return {};
  if (typeof value === 'string') return { default: value };
  const wrong = () =>
    new TokenizerError(`${file}: expected chat_template to be a string or a list of {name, template}`);
  if (!Array.isArray(value)) throw wrong();
  const templates = new Map<string, string>();
  for (const entry of value as unknown[]) {
    if (!isObject(entry) || typeof entry.name !== 'string' || typeof entry.template !== 'string') throw wrong();
    templates.set(entry.name, entry.template);
  }
  return { default: templates.get('default'), tool_use: templates.get('tool_use') };
}

async function readObject(
  source: FileSource,
  name: string,
  limit: number,
  maxValues?: number,
): Promise<Json | undefined> {
  const text = await readText(source, name, limit);
  if (text === undefined) return undefined;
  const path = `${source.path}/${name}`;
  let value: unknown;
  try {
    value = parseJson(text, maxValues);
  } catch (error) {
    throw new TokenizerError(`${path}: not valid JSON (${(error as Error).message}); download the file again`);
  }
  if (!isObject(value)) throw new TokenizerError(`${path}: expected a JSON object`);
  return value;
}

async function readText(source: FileSource, name: string, limit: number): Promise<string | undefined> {
  const bytes = await source.readIfThere(name, limit).catch((cause: unknown) => {
    throw cause instanceof VitrineError ? new TokenizerError(cause.message, { cause }) : cause;
  });
  try {
    return bytes && new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TokenizerError(`${source.path}/${name}: not valid UTF-8; download the file again`);
  }
}
