import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { VitrineError } from '../tensor/errors.ts';
import { isObject } from '../json.ts';

/** The parsed files that make a tokenizer, whether they came from a folder or from GGUF metadata. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json; empty where there is none. */
  readonly config: Readonly<Record<string, unknown>>;
  /** chat_template.jinja, or `chat_template` of tokenizer_config.json. */
  readonly chatTemplate: string | undefined;
  /** The template named `tool_use`, where a model has one of its own for conversations with tools. */
  readonly toolTemplate?: string | undefined;
}

/** A tokenizer's files are malformed, or ask for something that this tokenizer does not know. */
export class TokenizerError extends VitrineError {
  override readonly name = 'TokenizerError';
}

const MiB = 2 ** 20;
/** Far above the largest published files (tokenizer.json: 33 MB); above them a file is not what its name says. */
const LIMITS = { tokenizer: 256 * MiB, config: 16 * MiB, template: MiB };

/**
 * Reads a model folder's tokenizer.json, tokenizer_config.json and chat templates, in transformers' order of precedence:
 * chat_template.jinja (and additional_chat_templates/tool_use.jinja) before the configuration's `chat_template`, which
 * may be one template or a list of named ones. `undefined` where the folder has no tokenizer.json.
 *
 * @throws {TokenizerError} naming the file, when one is too large, not UTF-8, or not a JSON object.
 */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles | undefined> {
  const [tokenizer, config, template, toolTemplate] = await Promise.all([
    readObject(join(folder, 'tokenizer.json'), LIMITS.tokenizer),
    readObject(join(folder, 'tokenizer_config.json'), LIMITS.config),
    readText(join(folder, 'chat_template.jinja'), LIMITS.template),
    readText(join(folder, 'additional_chat_templates', 'tool_use.jinja'), LIMITS.template),
  ]);
  if (tokenizer === undefined) return undefined;
  const templates =
    template === undefined
      ? namedTemplates(config?.chat_template, join(folder, 'tokenizer_config.json'))
      : { default: template, tool_use: toolTemplate };
  return { tokenizer, config: config ?? {}, chatTemplate: templates.default, toolTemplate: templates.tool_use };
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

async function readObject(path: string, limit: number): Promise<Record<string, unknown> | undefined> {
  const text = await readText(path, limit);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TokenizerError(`${path}: not valid JSON (${(error as Error).message}); download the file again`);
  }
  if (!isObject(value)) throw new TokenizerError(`${path}: expected a JSON object`);
  return value;
}

async function readText(path: string, limit: number): Promise<string | undefined> {
  const found = await stat(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  // Reading a pipe or a device could wait for ever.
  if (!found.isFile()) throw new TokenizerError(`${path}: expected a regular file`);
  if (found.size > limit) {
    throw new TokenizerError(`${path}: ${found.size} bytes, expected at most ${limit}; is it the right file?`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TokenizerError(`${path}: not valid UTF-8; download the file again`);
  }
}
