import { isUtf8 } from 'node:buffer';

import { GgufError } from './error.ts';

/** The header goes on beyond the bytes at hand, and the file holds more: read more and parse again. */
export class NeedMoreBytes extends Error {}

/** Reads the little-endian items of a header one after another. Nothing is taken on trust: every length meets the file's size first. */
export class Cursor {
  /** Where the next item begins. */
  position = 0;
  readonly file: string;
  private readonly bytes: Buffer;
  private readonly fileSize: number;

  /** @param bytes the beginning of the file, or all of it */
  constructor(file: string, bytes: Buffer, fileSize: number) {
    this.file = file;
    this.bytes = bytes;
    this.fileSize = fileSize;
  }

  fail(what: string, problem: string, remedy = 'Download or convert the file again.'): never {
    throw new GgufError(`${this.file}: ${what}: ${problem}. ${remedy}`);
  }

  /** Checks that the file holds `count` more items of at least `size` bytes each, before anything is made for them. */
  expect(count: number, size: number, what: string): void {
    const left = this.fileSize - this.position;
    if (count * size > left) {
      this.fail(what, `${count} × ${size} bytes are announced at byte ${this.position}, and ${left} bytes are left`);
    }
  }

  private take(size: number, what: string): number {
    const at = this.position;
    if (at + size > this.fileSize) {
      this.fail(what, `${size} bytes are expected at byte ${at}, and the file ends at ${this.fileSize}`);
    }
    if (at + size > this.bytes.length) throw new NeedMoreBytes();
    this.position = at + size;
    return at;
  }

  u8 = (what: string): number => this.bytes.readUInt8(this.take(1, what));
  i8 = (what: string): number => this.bytes.readInt8(this.take(1, what));
  u16 = (what: string): number => this.bytes.readUInt16LE(this.take(2, what));
  i16 = (what: string): number => this.bytes.readInt16LE(this.take(2, what));
  u32 = (what: string): number => this.bytes.readUInt32LE(this.take(4, what));
  i32 = (what: string): number => this.bytes.readInt32LE(this.take(4, what));
  f32 = (what: string): number => this.bytes.readFloatLE(this.take(4, what));
  f64 = (what: string): number => this.bytes.readDoubleLE(this.take(8, what));
  i64 = (what: string): number | bigint => narrow(this.bytes.readBigInt64LE(this.take(8, what)));
  u64 = (what: string): number | bigint => narrow(this.bytes.readBigUInt64LE(this.take(8, what)));

  bool = (what: string): boolean => {
    const value = this.u8(what);
    if (value > 1) this.fail(what, `a boolean must be 0 or 1, got ${value}`);
    return value === 1;
  };

  /** A u64 that is a length or a count; one above 2^53 loses its last bits, but no file is that large. */
  size(what: string): number {
    const at = this.take(8, what);
    return this.bytes.readUInt32LE(at + 4) * 2 ** 32 + this.bytes.readUInt32LE(at);
  }

  /** A length and that many bytes of UTF-8. */
  text = (what: string): string => {
    const length = this.size(what);
    const at = this.take(length, what);
    const bytes = this.bytes.subarray(at, at + length);
    if (!isUtf8(bytes)) this.fail(what, `the string at byte ${at} is not valid UTF-8`);
    return bytes.toString('utf8');
  };
}

const narrow = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};
