import type { Fields } from '../json-fields.ts';
import { showValue, TokenizerError } from '../json-fields.ts';
import { utf8Length } from '../utf8.ts';

const utf8 = new TextEncoder();
const lossless = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** UTF-8 bytes. Only graphemes shorter than this are looked up as a whole. */
const MAX_GRAPHEME = 6;
const ASCII_ONLY = /^[\0-\x7f]*$/;

/**
 * The normalizer `Precompiled`: the normalisation rules of SentencePiece, as a double-array trie and the replacements that
 * it leads to. A grapheme is replaced as a whole if a rule matches it, otherwise character by character.
 *
 * Source: the Rust crates `spm_precompiled` and `tokenizers` (normalizers/precompiled.rs).
 */
export function precompiledNormalizer(fields: Fields): (text: string) => string {
  const map = new CharsMap(fields);
  const known = new Map<string, string | undefined>();
  const lookUp = (part: string) => {
    if (!known.has(part)) known.set(part, map.transform(part));
    return known.get(part);
  };
  return (text) => {
    known.clear();
    let normalised = '';
    // Segmenting is slow, and in ASCII the only grapheme of more than one character is CR LF.
    const parts = ASCII_ONLY.test(text) ? (text.match(/\r\n|[^]/g) ?? []) : segments(text);
    for (const grapheme of parts) {
      const whole = isShort(grapheme) ? lookUp(grapheme) : undefined;
      if (whole !== undefined) normalised += whole;
      else for (const char of grapheme) normalised += lookUp(char) ?? char;
    }
    return normalised;
  };
}

const isShort = (text: string): boolean => text.length < MAX_GRAPHEME && utf8Length(text) < MAX_GRAPHEME;

function* segments(text: string): Generator<string> {
  for (const { segment } of graphemes.segment(text)) yield segment;
}

/** The rules in their binary form: the trie's size in bytes, the trie in units of 32 bits, then texts that end in NUL. */
class CharsMap {
  readonly #path: string;
  readonly #units: Uint32Array;
  readonly #texts: Uint8Array;

  constructor(fields: Fields) {
    this.#path = `${fields.path}.precompiled_charsmap`;
    const base64 = fields.string('precompiled_charsmap');
    const bytes = fromBase64(base64) ?? new Uint8Array();
    const view = new DataView(bytes.buffer);
    const size = bytes.length < 4 ? -1 : view.getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || size > bytes.length - 4) {
      throw new TokenizerError(`${this.#path}: expected SentencePiece's rules in base64, got ${showValue(base64)}`);
    }
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#texts = bytes.subarray(4 + size);
  }

  /** The replacement of the shortest rule that a text begins with; undefined when there is none. */
  transform(part: string): string | undefined {
    const value = this.#firstMatch(utf8.encode(part));
    if (value === undefined) return undefined;
    const end = this.#texts.indexOf(0, value);
    try {
      return lossless.decode(this.#texts.subarray(value, end < 0 ? this.#texts.length : end));
    } catch {
      throw new TokenizerError(`${this.#path}: a rule for ${showValue(part)} is not UTF-8`);
    }
  }

  #firstMatch(key: Uint8Array): number | undefined {
    let node = offset(this.#unit(0));
    for (const byte of key) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = this.#unit(node);
      if ((unit & LABEL) >>> 0 !== byte) return undefined;
      node ^= offset(unit);
      if ((unit & HAS_LEAF) !== 0) return this.#unit(node) & VALUE;
    }
    return undefined;
  }

  #unit(index: number): number {
    const unit = this.#units[index] as number | undefined;
    if (unit === undefined) throw new TokenizerError(`${this.#path}: the rules lead out of their trie`);
    return unit;
  }
}

/** The bytes of a text in base64; undefined when it is none. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  let decoded: string;
  try {
    decoded = atob(text);
  } catch {
    return undefined;
  }
  const bytes = new Uint8Array(decoded.length);
  for (let i = 0; i < decoded.length; i++) bytes[i] = decoded.charCodeAt(i);
  return bytes;
}

// The bits of a unit of the trie. Source: darts-clone.
const HAS_LEAF = 1 << 8;
const VALUE = 0x7fffffff;
const LABEL = 0x800000ff;
const offset = (unit: number) => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
