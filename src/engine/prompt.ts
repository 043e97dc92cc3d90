import type { KvCache } from '../model/cache/kv-cache.ts';
import {
  type Check,
  checkArgument,
  checkOptions,
  isNumericArray,
  isRecord,
  listOf,
  OptionError,
  show,
} from '../options.ts';
import type { ChatMessage } from '../tokenizer/chat-template.ts';
import { CACHE } from './generate/generate-options.ts';

/** Token ids in a list or a typed array. */
export type TokenIds = readonly number[] | Uint8Array | Uint16Array | Uint32Array | Int32Array;

/** A text, token ids, or a conversation (rendered by the model's chat template, with the start of an answer). */
export type Prompt = string | TokenIds | readonly ChatMessage[];

const TOKENS: Check = {
  words: 'a list or typed array of token ids',
  holds: (value) => Array.isArray(value) || isNumericArray(value),
};
const isMessage = (item: unknown): boolean => isRecord(item) && typeof item.role === 'string';

/** Whether a prompt that `checkPrompt` has passed is a conversation. */
export const isMessages = (prompt: Prompt): prompt is readonly ChatMessage[] => isMessage(prompt[0]);

const PROMPT: Check = {
  words: 'a text, a list or typed array of token ids, or a list of messages with a role each',
  holds: (value) => {
    if (typeof value === 'string' || isNumericArray(value)) return true;
    if (!Array.isArray(value)) return false;
    const fits = isMessage(value[0]) ? isMessage : (item: unknown): boolean => typeof item === 'number';
    for (const item of value as Iterable<unknown>) if (!fits(item)) return false; // `every` would skip holes.
    return true;
  },
};

const PROMPT_LIST = listOf(
  'prompts, at least one',
  (prompt) => typeof prompt === 'string' || (typeof prompt === 'object' && prompt !== null),
);
/** The requirement on a list of prompts; each is checked where it runs. */
export const PROMPTS: Check = {
  words: PROMPT_LIST.words,
  holds: (value) => PROMPT_LIST.holds(value) && (value as readonly unknown[]).length > 0,
};

/** @throws {OptionError} for what is no prompt. */
export function checkPrompt(call: string, prompt: unknown): void {
  checkArgument(call, 'the prompt', prompt, PROMPT);
}

const SEQUENCE_CHECKS = { tokens: TOKENS, cache: CACHE };
const SEQUENCES = listOf('objects with tokens each', (sequence) => isRecord(sequence) && TOKENS.holds(sequence.tokens));

/** @throws {OptionError} for no sequences, and for a cache that two of them share. */
export function checkSequences(sequences: readonly { tokens: ArrayLike<number>; cache?: KvCache }[]): void {
  checkArgument('forwardBatch', 'sequences', sequences, SEQUENCES);
  for (const sequence of sequences) checkOptions('forwardBatch', sequence, SEQUENCE_CHECKS);
  if (sequences.length === 0) throw new OptionError('forwardBatch: expected at least one sequence.');
  expectOwnCaches(
    'forwardBatch',
    sequences.map(({ cache }) => cache),
  );
}

/** @throws {OptionError} for a cache that two sequences share. */
export function expectOwnCaches(call: string, caches: readonly (KvCache | undefined)[]): void {
  if (new Set(caches.map((cache) => cache ?? Symbol())).size !== caches.length)
    throw new OptionError(`${call}: two sequences share a cache. Give each its own, with cache.fork().`);
}

/**
 * The ids as a copy.
 *
 * @throws {OptionError} for none, and for one that is outside of the vocabulary.
 */
export function checkTokens(call: string, tokens: ArrayLike<number>, vocabSize: number): Int32Array {
  checkArgument(call, 'tokens', tokens, TOKENS);
  if (tokens.length === 0) throw new OptionError(`${call}: the prompt is empty: expected at least one token.`);
  for (let i = 0; i < tokens.length; i++) {
    if (Number.isInteger(tokens[i]) && tokens[i] >= 0 && tokens[i] < vocabSize) continue;
    throw new OptionError(
      `${call}: token ${i} of the prompt is ${show(tokens[i])}: expected an id from 0 to ${vocabSize - 1}.`,
    );
  }
  return Int32Array.from(tokens);
}
