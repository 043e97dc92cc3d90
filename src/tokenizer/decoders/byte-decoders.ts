import { BYTE_OF } from '../byte-alphabet.ts';

/** Without `ignoreBOM` a decoder would drop a byte order mark that the model wrote. */
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const utf8 = new TextEncoder();

/** A token with a character outside the byte alphabet, as added tokens may be, stands for its own UTF-8 bytes. */
export function byteLevel(tokens: readonly string[]): string[] {
  const bytes = tokens.flatMap((token) => {
    const mapped = Array.from(token, (char) => BYTE_OF.get(char));
    return mapped.includes(undefined) ? Array.from(utf8.encode(token)) : (mapped as number[]);
  });
  return [lossy.decode(Uint8Array.from(bytes))];
}

/** Two digits, or, as Rust reads numbers, a plus sign and one. */
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>$/;

/** A run of tokens `<0xHH>` becomes its UTF-8 text, or one U+FFFD for each byte if the run as a whole is not UTF-8. */
export function byteFallback(tokens: readonly string[]): string[] {
  const parts: string[] = [];
  let run: number[] = [];
  const endRun = () => {
    if (run.length > 0) parts.push(decodeRun(Uint8Array.from(run)));
    run = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token);
    if (byte) {
      run.push(parseInt(byte[1], 16));
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
