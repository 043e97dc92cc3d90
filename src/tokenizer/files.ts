import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TokenizerError } from './fields.ts';
import { isObject } from '../json.ts';

export { TokenizerError };

/** The parsed files that make a tokenizer, whether they came from a folder or from GGUF metadata. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json; empty where there is none. */
  readonly config: Readonly<Record<string, unknown>>;
  /** special_tokens_map.json, which older transformers wrote; it counts where the configuration lists no added tokens. */
  readonly specialTokensMap?: Readonly<Record<string, unknown>> | undefined;
  /** added_tokens.json, likewise: ids by tokens. */
  readonly addedTokens?: Readonly<Record<string, unknown>> | undefined;
  /** chat_template.jinja, or `chat_template` of tokenizer_config.json. */
  readonly chatTemplate: string | undefined;
  /** The template named `tool_use`, where a model has one of its own for conversations with tools. */
  readonly toolTemplate?: string | undefined;
}

const MiB = 2 ** 20;
/** Far above the largest published files (tokenizer.json: 33 MB); above them a file is not what its name says. */
const LIMITS = { tokenizer: 128 * MiB, config: 16 * MiB, template: MiB };

/**
 * The real path of a file of a folder, by its name with `/` as separator.
 * @throws where a link leads out of the folder; an error with the code ENOENT or ENOTDIR, or one caused by it, where there is
 *   no such file.
 */
export type ResolveFile = (folder: string, name: string) => Promise<string>;

/**
 * Reads a model folder's tokenizer.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json and chat
 * templates, in transformers' order of precedence: chat_template.jinja (and additional_chat_templates/tool_use.jinja) before
 * the configuration's `chat_template`, which may be one template or a list of named ones. `undefined` where the folder has
 * no tokenizer.json.
 *
 * @param resolve - Says which links may be followed.
 * @throws {TokenizerError} naming the file, when one is too large, not UTF-8, or not a JSON object, or links elsewhere.
 */
export async function readTokenizerFiles(folder: string, resolve: ResolveFile): Promise<TokenizerFiles | undefined> {
  const text = (name: string, limit: number) => readText(folder, name, limit, resolve);
  const object = async (name: string, limit: number) => parseObject(join(folder, name), await text(name, limit));
  const [tokenizer, config, specialTokensMap, addedTokens, template, toolTemplate] = await Promise.all([
    object('tokenizer.json', LIMITS.tokenizer),
    object('tokenizer_config.json', LIMITS.config),
    object('special_tokens_map.json', LIMITS.config),
    object('added_tokens.json', LIMITS.config),
    text('chat_template.jinja', LIMITS.template),
    text('additional_chat_templates/tool_use.jinja', LIMITS.template),
  ]);
  if (tokenizer === undefined) return undefined;
  const templates =
    template === undefined
      ? namedTemplates(config?.chat_template, join(folder, 'tokenizer_config.json'))
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

/** `chat_template` as tokenizer_config.json writes it: a template, or `[{ name, template }]`. */
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

function parseObject(path: string, text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TokenizerError(`${path}: not valid JSON${place(error as Error)}; download the file again`);
  }
  if (!isObject(value)) throw new TokenizerError(`${path}: expected a JSON object`);
  return value;
}

/** Where the parser stopped, without its quotation of the file, which may hold what nobody is to see. */
function place(error: Error): string {
  const position = / at position \d+/.exec(error.message);
  return position ? position[0] : '';
}

async function readText(
  folder: string,
  name: string,
  limit: number,
  resolve: ResolveFile,
): Promise<string | undefined> {
  const path = join(folder, name);
  let found: { real: string; size: number; isFile: boolean };
  try {
    const real = await resolve(folder, name);
    const { size, isFile } = await stat(real).then((file) => ({ size: file.size, isFile: file.isFile() }));
    found = { real, size, isFile };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  // Reading a pipe or a device could wait for ever.
  if (!found.isFile) throw new TokenizerError(`${path}: expected a regular file`);
  if (found.size > limit) {
    throw new TokenizerError(`${path}: ${found.size} bytes, expected at most ${limit}; is it the right file?`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(found.real));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TokenizerError(`${path}: not valid UTF-8; download the file again`);
  }
}

function isMissing(error: unknown): boolean {
  const { code, cause } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' || (cause !== undefined && isMissing(cause));
}
