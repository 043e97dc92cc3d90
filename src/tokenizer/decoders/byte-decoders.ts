import { BYTE_OF } from '../byte-alphabet.ts';

/** Without `ignoreBOM`, a byte order mark that the model generated would be dropped. */
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const utf8 = new TextEncoder();

/**
 * The decoder `ByteLevel`: tokens spelled in GPT-2's byte alphabet become UTF-8 text, with U+FFFD for bytes that are not
 * UTF-8. A token that has a character outside the alphabet, as added tokens may, stands for its own UTF-8 bytes.
 */
export function byteLevel(tokens: readonly string[]): string[] {
  const bytes = tokens.flatMap((token) => {
    const mapped = Array.from(token, (char) => BYTE_OF.get(char));
    return mapped.includes(undefined) ? Array.from(utf8.encode(token)) : (mapped as number[]);
  });
  return [lossy.decode(Uint8Array.from(bytes))];
}

/** Two hexadecimal digits; or a plus sign and one, which Rust's number parser accepts. */
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>$/;

/**
 * The decoder `ByteFallback`: a run of tokens `<0xHH>` becomes the text of its bytes, or one U+FFFD per byte if the run is
 * not valid UTF-8 as a whole.
 */
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
