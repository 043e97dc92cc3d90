import type { Cursor } from './cursor.ts';

/** A metadata value. A 64-bit integer is a number where it is below 2^53, else a bigint. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** An array whose items are decoded when it is iterated, so that an unused array takes no more memory than its bytes. */
export interface GgufArray extends Iterable<GgufValue> {
  readonly length: number;
}

const MAX_DEPTH = 4;

interface ValueType {
  /**
   * Bytes of a value; of the shortest one where `skip` is given, which skips `count` values of different lengths or checks
   * them.
   */
  readonly bytes: number;
  readonly read: (cursor: Cursor, what: string) => GgufValue;
  readonly skip?: (cursor: Cursor, what: string, count: number) => void;
}

/** The value types; the index is the number in the file. */
const TYPES: readonly ValueType[] = [
  { bytes: 1, read: (cursor, what) => cursor.u8(what) },
  { bytes: 1, read: (cursor, what) => cursor.i8(what) },
  { bytes: 2, read: (cursor, what) => cursor.u16(what) },
  { bytes: 2, read: (cursor, what) => cursor.i16(what) },
  { bytes: 4, read: (cursor, what) => cursor.u32(what) },
  { bytes: 4, read: (cursor, what) => cursor.i32(what) },
  { bytes: 4, read: (cursor, what) => cursor.f32(what) },
  {
    bytes: 1,
    read: (cursor, what) => cursor.bool(what),
    skip(cursor, what, count) {
      cursor.skipBools(what, count);
    },
  },
  {
    bytes: 8,
    read: (cursor, what) => cursor.text(what),
    skip(cursor, what, count) {
      cursor.skipTexts(what, count);
    },
  },
  { bytes: 12, read: (cursor, what) => new PackedArray(cursor, what) },
  { bytes: 8, read: (cursor, what) => cursor.u64(what) },
  { bytes: 8, read: (cursor, what) => cursor.i64(what) },
  { bytes: 8, read: (cursor, what) => cursor.f64(what) },
];
const ARRAY = 9;

/** Reads a value of the type with this number. @throws {GgufError} when there is no such type, or the value is malformed */
export const readValue = (cursor: Cursor, what: string, type: number): GgufValue =>
  typeOf(cursor, what, type).read(cursor, what);

function typeOf(cursor: Cursor, what: string, type: number): ValueType {
  if (type >= TYPES.length) cursor.fail(what, `expected a value type below ${TYPES.length}, got ${type}`);
  return TYPES[type];
}

/** An array that stays in the bytes of the header; its items are checked when it is made. */
class PackedArray implements GgufArray {
  readonly length: number;
  readonly #items: Cursor;
  readonly #what: string;
  readonly #type: ValueType;

  /** @param cursor At the array; afterwards behind it. */
  constructor(cursor: Cursor, what: string, depth = 1) {
    if (depth > MAX_DEPTH) cursor.fail(what, `expected at most ${MAX_DEPTH} levels of nested arrays, got more`);
    const typeNumber = cursor.u32(what);
    this.#type = typeOf(cursor, what, typeNumber);
    this.length = cursor.size(what);
    this.#what = what;
    this.#items = cursor.copy();
    const { bytes, skip } = this.#type;
    cursor.expect(this.length, bytes, what);
    if (typeNumber === ARRAY) for (let left = this.length; left > 0; left--) new PackedArray(cursor, what, depth + 1);
    else if (skip === undefined) cursor.skip(what, this.length * bytes);
    else skip(cursor, what, this.length);
  }

  *[Symbol.iterator](): Generator<GgufValue> {
    const cursor = this.#items.copy();
    for (let left = this.length; left > 0; left--) yield this.#type.read(cursor, this.#what);
  }
}
