import {
  ANYTHING,
  type Check,
  checkArgument,
  checkOptions,
  FLAG,
  isNumericArray,
  isRecord,
  listOf,
  OBJECT,
  TEXT,
} from '../options.ts';

const MESSAGES = listOf(
  'messages, objects with a role each',
  (item) => isRecord(item) && typeof item.role === 'string',
);
const VARIABLES: Readonly<Record<string, Check>> = {
  tools: { words: 'a list of tools, or null', holds: (value) => value === null || Array.isArray(value) },
  addGenerationPrompt: FLAG,
  now: { words: 'a valid Date', holds: (value) => value instanceof Date && !Number.isNaN(value.getTime()) },
};

/**
 * Checks the messages and variables of a chat template. Variables that are not of the API may have any name and value.
 *
 * @throws {OptionError} when one of them has the wrong type.
 */
export function checkConversation(call: string, messages: unknown, variables: unknown): void {
  checkArgument(call, 'messages', messages, MESSAGES);
  checkArgument(call, 'the variables', variables, OBJECT);
  const others = Object.keys(variables as object).filter((name) => !Object.hasOwn(VARIABLES, name));
  const checks = { ...VARIABLES, ...Object.fromEntries(others.map((name) => [name, ANYTHING])) };
  checkOptions(call, variables as Record<string, unknown>, checks);
}

/** The options of `encode`. */
export const ENCODE_CHECKS = { addSpecialTokens: FLAG, allowSpecial: FLAG };
/** The options of `decode`. */
export const DECODE_CHECKS = { skipSpecialTokens: FLAG };

/** Any number passes: an id that no token has decodes to nothing. */
export const ID: Check = { words: 'a token id', holds: (value) => typeof value === 'number' };

/** The options of `stream`. */
export const STREAM_CHECKS = { ...DECODE_CHECKS, after: listOf('token ids', ID.holds) };

/**
 * The token ids of an iterable, as a list.
 *
 * @throws {OptionError} when it is no iterable of numbers.
 */
export function checkedIds(call: string, ids: Iterable<number>): readonly number[] {
  const words = 'a list or another iterable of token ids';
  const given: unknown = ids;
  const iterable = typeof given === 'object' && given !== null && Symbol.iterator in given;
  checkArgument(call, 'ids', ids, { words, holds: () => iterable });
  const list = Array.isArray(ids) ? ids : Array.from(ids);
  if (!isNumericArray(ids)) checkArgument(call, 'ids', list, listOf('token ids', ID.holds));
  return list as readonly number[];
}

/** The options of a channel parser. */
export const CHANNEL_CHECKS = { open: TEXT };
