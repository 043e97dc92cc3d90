import type { Pipeline } from './library.ts';
import { isObject } from '../json.ts';

/** Turns tokens as the vocabulary spells them into text. */
export type DecodeTokens = (tokens: string[]) => string;
type Step = (tokens: string[]) => string[];

/**
 * The decoder of tokenizer.json. ByteLevel and ByteFallback are ours, because the library's lose a byte order mark,
 * read characters outside the byte alphabet as NUL, and decode invalid bytes differently from the reference
 * implementation; the other steps are the library's.
 */
export function createDecoder(decoder: Pipeline['decoder'], config: unknown): DecodeTokens {
  if (decoder === null) return (tokens) => tokens.join(' ');
  const steps = decodingSteps(decoder, config);
  return (tokens) => steps.reduce((parts, step) => step(parts), tokens).join('');
}

function decodingSteps(decoder: NonNullable<Pipeline['decoder']>, config: unknown): Step[] {
  const { type, decoders } = isObject(config) ? config : {};
  if (type === 'Sequence') {
    return decoder.decoders.flatMap((part, i) => decodingSteps(part, (decoders as unknown[])[i]));
  }
  if (type === 'ByteLevel') return [byteLevel];
  if (type === 'ByteFallback') return [byteFallback];
  return [(tokens) => decoder.decode_chain(tokens)];
}

/** Without `ignoreBOM` a decoder would drop a byte order mark that the model wrote. */
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const utf8 = new TextEncoder();

/**
 * GPT-2's byte alphabet: bytes that print stand for themselves, the other 68 for the characters from U+0100 on.
 * Source: `bytes_to_unicode` in openai/gpt-2, encoder.py.
 */
const BYTE_OF = new Map<string, number>();
{
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    BYTE_OF.set(String.fromCharCode(prints ? byte : next++), byte);
  }
}

/** A token with a character outside the alphabet, as added tokens may be, stands for its own UTF-8 bytes. */
function byteLevel(tokens: string[]): string[] {
  const bytes = tokens.flatMap((token) => {
    const mapped = Array.from(token, (char) => BYTE_OF.get(char));
    return mapped.includes(undefined) ? Array.from(utf8.encode(token)) : (mapped as number[]);
  });
  return [lossy.decode(Uint8Array.from(bytes))];
}

/** A run of tokens `<0xHH>` becomes its UTF-8 text, or one U+FFFD for each byte if the run as a whole is not UTF-8. */
function byteFallback(tokens: string[]): string[] {
  const parts: string[] = [];
  let run: number[] = [];
  const endRun = () => {
    if (run.length > 0) parts.push(decodeRun(Uint8Array.from(run)));
    run = [];
  };
  for (const token of tokens) {
    if (/^<0x[0-9A-Fa-f]{2}>$/.test(token)) {
      run.push(parseInt(token.slice(3, 5), 16));
    } else {
      endRun();
      parts.push(token);
    }
  }
  endRun();
  return parts;
}

function decodeRun(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return '\uFFFD'.repeat(bytes.length);
  }
}
