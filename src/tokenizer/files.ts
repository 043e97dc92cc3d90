import { join } from 'node:path';
import { VitrineError } from '../tensor/errors.ts';
import { isObject, type Json, parseJson } from '../json.ts';
import { ModelFolder } from '../model-folder.ts';

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
export async function readTokenizerFiles(from: string | ModelFolder): Promise<TokenizerFiles | undefined> {
  const folder = typeof from === 'string' ? new ModelFolder(from) : from;
  const [tokenizer, config, template, toolTemplate] = await Promise.all([
    readObject(folder, 'tokenizer.json', LIMITS.tokenizer),
    readObject(folder, 'tokenizer_config.json', LIMITS.config),
    readText(folder, 'chat_template.jinja', LIMITS.template),
    readText(folder, join('additional_chat_templates', 'tool_use.jinja'), LIMITS.template),
  ]);
  if (tokenizer === undefined) return undefined;
  const templates =
    template === undefined
      ? namedTemplates(config?.chat_template, join(folder.path, 'tokenizer_config.json'))
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

async function readObject(folder: ModelFolder, name: string, limit: number): Promise<Json | undefined> {
  const text = await readText(folder, name, limit);
  if (text === undefined) return undefined;
  const path = join(folder.path, name);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new TokenizerError(`${path}: not valid JSON (${(error as Error).message}); download the file again`);
  }
  if (!isObject(value)) throw new TokenizerError(`${path}: expected a JSON object`);
  return value;
}

async function readText(folder: ModelFolder, name: string, limit: number): Promise<string | undefined> {
  const bytes = await folder.readIfThere(name, limit).catch((cause: unknown) => {
    throw cause instanceof VitrineError ? new TokenizerError(cause.message, { cause }) : cause;
  });
  try {
    return bytes && new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TokenizerError(`${join(folder.path, name)}: not valid UTF-8; download the file again`);
  }
}
