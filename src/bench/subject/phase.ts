import { VitrineError } from '../../errors.ts';

/** The kind of pass whose ops are measured: one decoded token, or a prompt. */
export interface Phase {
  /** As asked for: `decode`, `decode:2048`, `prefill:512`. */
  readonly name: string;
  /** Tokens of the pass: 1 while decoding. */
  readonly tokens: number;
  /** Tokens in the cache, the decoded one included; 0 for a prompt. */
  readonly depth: number;
}

/** Tokens in the cache where `decode` names no number. */
const DEPTH = 512;

/**
 * Reads `decode`, `decode:DEPTH` (the number of tokens in the cache) or `prefill:TOKENS` (the number of tokens in the pass).
 *
 * @throws {VitrineError} when the text is none of these, or its number is not from 1 to 2^20.
 */
export function parsePhase(text: string): Phase {
  const match = /^(decode|prefill)(?::(\d+))?$/.exec(text);
  const count = Number(match?.[2] ?? DEPTH);
  if (match === null || count < 1 || count > 2 ** 20)
    throw new VitrineError(`shape "${text}": expected decode, decode:DEPTH or prefill:TOKENS, from 1 to 1048576.`);
  return match[1] === 'decode' ? { name: text, tokens: 1, depth: count } : { name: text, tokens: count, depth: 0 };
}
