import { isUtf8 } from 'node:buffer';

import { GgufError } from './gguf-error.ts';

/** The header continues after the bytes that were read, and the file has more: read up to `end` at least, and parse again. */
export class NeedMoreBytes extends Error {
  readonly end: number;

  constructor(end: number) {
    super();
    this.end = end;
  }
}

/**
 * Reads the little-endian items of a header in order. Every length is checked against the file's size before it is used.
 * `what` names the item in errors. Methods throw GgufError where the item is malformed, and {@link NeedMoreBytes}.
 */
export class Cursor {
  /** Byte at which the next item begins. */
  position = 0;
  /** The path of the file, for errors. */
  readonly file: string;
  readonly #bytes: Buffer;
  readonly #fileSize: number;

  /** @param bytes The beginning of the file, or all of it. */
  constructor(file: string, bytes: Buffer, fileSize: number) {
    this.file = file;
    this.#bytes = bytes;
    this.#fileSize = fileSize;
  }

  /** The first bytes of the file. */
  get begin(): Buffer {
    return this.#bytes.subarray(0, 64);
  }

  /** Another cursor at the same place. */
  copy(): Cursor {
    const copy = new Cursor(this.file, this.#bytes, this.#fileSize);
    copy.position = this.position;
    return copy;
  }

  /** Throws a GgufError. */
  fail(what: string, problem: string, remedy = 'Download or convert the file again.'): never {
    throw new GgufError(`${this.file}: ${what}: ${problem}. ${remedy}`);
  }

  /** Checks that the file has room for `count` more items of at least `size` bytes each, before memory is allocated for them. */
  expect(count: number, size: number, what: string): void {
    const left = this.#fileSize - this.position;
    if (count * size > left) {
      this.fail(what, `expected room for ${count} × ${size} bytes at byte ${this.position}, got ${left} bytes`);
    }
  }

  #take(size: number, what: string): number {
    const at = this.position;
    if (at + size > this.#fileSize) {
      this.fail(what, `expected ${size} bytes at byte ${at}, and the file ends at ${this.#fileSize}`);
    }
    if (at + size > this.#bytes.length) throw new NeedMoreBytes(at + size);
    this.position = at + size;
    return at;
  }

  u8(what: string): number {
    return this.#bytes.readUInt8(this.#take(1, what));
  }

  i8(what: string): number {
    return this.#bytes.readInt8(this.#take(1, what));
  }

  u16(what: string): number {
    return this.#bytes.readUInt16LE(this.#take(2, what));
  }

  i16(what: string): number {
    return this.#bytes.readInt16LE(this.#take(2, what));
  }

  u32(what: string): number {
    return this.#bytes.readUInt32LE(this.#take(4, what));
  }

  i32(what: string): number {
    return this.#bytes.readInt32LE(this.#take(4, what));
  }

  f32(what: string): number {
    return this.#bytes.readFloatLE(this.#take(4, what));
  }

  f64(what: string): number {
    return this.#bytes.readDoubleLE(this.#take(8, what));
  }

  i64(what: string): number | bigint {
    return narrow(this.#bytes.readBigInt64LE(this.#take(8, what)));
  }

  u64(what: string): number | bigint {
    return narrow(this.#bytes.readBigUInt64LE(this.#take(8, what)));
  }

  bool(what: string): boolean {
    const value = this.u8(what);
    return value > 1 ? this.#failBool(what, value) : value === 1;
  }

  /** A u64 that is a length or a count. One above 2^53 is rounded, which is harmless: no file is that large. */
  size(what: string): number {
    const at = this.#take(8, what);
    return this.#bytes.readUInt32LE(at + 4) * 2 ** 32 + this.#bytes.readUInt32LE(at);
  }

  /**
   * A string: a length and that many bytes of UTF-8.
   * @param most The largest number of bytes. Default: any length that fits the file.
   */
  text(what: string, most = Infinity): string {
    const length = this.size(what);
    if (length > most) this.fail(what, `expected at most ${most} bytes of text, got ${length}`);
    const at = this.#take(length, what);
    this.#expectUtf8(at, length, what);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** Skips bytes without a check. */
  skip(what: string, bytes: number): void {
    this.#take(bytes, what);
  }

  /** Skips booleans, each of which must be 0 or 1. */
  skipBools(what: string, count: number): void {
    const at = this.#take(count, what);
    for (let i = at; i < at + count; i++) if (this.#bytes[i] > 1) this.#failBool(what, this.#bytes[i]);
  }

  /** Skips strings, each of which must be UTF-8. */
  skipTexts(what: string, count: number): void {
    for (let i = 0; i < count; i++) {
      const length = this.size(what);
      this.#expectUtf8(this.#take(length, what), length, what);
    }
  }

  #failBool(what: string, value: number): never {
    return this.fail(what, `expected a boolean, 0 or 1, got ${value}`);
  }

  #expectUtf8(at: number, length: number, what: string): void {
    const end = at + length;
    let first = at;
    // Most strings are short and ASCII: checking their bytes here is faster than making a view for isUtf8.
    while (first < end && this.#bytes[first] < 0x80) first++;
    if (first < end && !isUtf8(this.#bytes.subarray(first, end)))
      this.fail(what, `the string at byte ${at} is not valid UTF-8`);
  }
}

const narrow = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};
