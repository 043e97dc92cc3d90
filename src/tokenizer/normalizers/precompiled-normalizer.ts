import type { Fields } from '../json-fields.ts';
import { showValue, TokenizerError } from '../json-fields.ts';

const utf8 = new TextEncoder();
const lossless = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Only shorter graphemes are looked up as a whole, in bytes. */
const MAX_GRAPHEME = 6;
const ASCII_ONLY = /^[\0-\x7f]*$/;

/**
 * SentencePiece's normalisation rules, compiled into a double-array trie and the texts it leads to.
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
    // Segmenting costs much and finds nothing in ASCII but a carriage return with its line feed.
    const parts = ASCII_ONLY.test(text) ? (text.match(/\r\n|[^]/g) ?? []) : segments(text);
    for (const grapheme of parts) {
      const whole = utf8Length(grapheme) < MAX_GRAPHEME ? lookUp(grapheme) : undefined;
      if (whole !== undefined) normalised += whole;
      else for (const char of grapheme) normalised += lookUp(char) ?? char;
    }
    return normalised;
  };
}

function* segments(text: string): Generator<string> {
  for (const { segment } of graphemes.segment(text)) yield segment;
}

function utf8Length(text: string): number {
  return text.length > MAX_GRAPHEME ? text.length : utf8.encode(text).length;
}

/** The bytes: the trie's size in bytes, its units of 32 bits, then texts that end in NUL. */
class CharsMap {
  readonly #path: string;
  readonly #units: Uint32Array;
  readonly #texts: Uint8Array;

  constructor(fields: Fields) {
    this.#path = `${fields.path}.precompiled_charsmap`;
    const base64 = fields.string('precompiled_charsmap');
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    const view = new DataView(bytes.buffer);
    const size = bytes.length < 4 ? -1 : view.getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || size > bytes.length - 4) {
      throw new TokenizerError(`${this.#path}: expected SentencePiece's rules in base64, got ${showValue(base64)}`);
    }
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#texts = bytes.subarray(4 + size);
  }

  /** The text of the shortest rule that a part begins with, if there is one. */
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

const HAS_LEAF = 1 << 8;
const VALUE = 0x7fffffff;
const LABEL = 0x800000ff;
const offset = (unit: number) => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
