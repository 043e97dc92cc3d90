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

/** What a chat template renders; further variables may have any name. @throws OptionError */
export function checkConversation(call: string, messages: unknown, variables: unknown): void {
  checkArgument(call, 'messages', messages, MESSAGES);
  checkArgument(call, 'the variables', variables, OBJECT);
  const others = Object.keys(variables as object).filter((name) => !Object.hasOwn(VARIABLES, name));
  const checks = { ...VARIABLES, ...Object.fromEntries(others.map((name) => [name, ANYTHING])) };
  checkOptions(call, variables as Record<string, unknown>, checks);
}

export const ENCODE_CHECKS = { addSpecialTokens: FLAG, allowSpecial: FLAG };
export const DECODE_CHECKS = { skipSpecialTokens: FLAG };

/** A token id may be of no token; then it has no text. */
export const ID: Check = { words: 'a token id', holds: (value) => typeof value === 'number' };

export const STREAM_CHECKS = { ...DECODE_CHECKS, after: listOf('token ids', ID.holds) };

/** The ids of an iterable of them, as a list. @throws OptionError */
export function checkedIds(call: string, ids: Iterable<number>): readonly number[] {
  const words = 'a list or another iterable of token ids';
  const given: unknown = ids;
  const iterable = typeof given === 'object' && given !== null && Symbol.iterator in given;
  checkArgument(call, 'ids', ids, { words, holds: () => iterable });
  const list = Array.isArray(ids) ? ids : Array.from(ids);
  if (!isNumericArray(ids)) checkArgument(call, 'ids', list, listOf('token ids', ID.holds));
  return list as readonly number[];
}

export const CHANNEL_CHECKS = { open: TEXT };
