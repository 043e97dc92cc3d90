import { quote } from '../../quote.ts';
import type { InputFile } from '../files/input-file.ts';
import { Cursor, NeedMoreBytes } from './cursor.ts';
import { kindOfFile } from './magic.ts';
import { GGML_TYPES, type GgmlType, REMOVED_TYPES } from './gguf-types.ts';
import { type GgufValue, readValue } from './metadata-values.ts';

/** A tensor as the header describes it. */
export interface GgufTensor {
  readonly type: GgmlType;
  /** Row-major; the file lists the sizes in reverse order. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly position: number;
  readonly bytes: number;
}

/** The header of a GGUF file, checked. */
export interface GgufHeader {
  readonly version: number;
  /** Tensors begin at multiples of this number of bytes. */
  readonly alignment: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors by their names in the file, in the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 0x46554747; // "GGUF"
const ALIGNMENT = 'general.alignment';
const U32 = 4;
const KEY_BYTES = 65_535;
const NAME_BYTES = 63;
const MAX_DIMS = 4;
/** The largest number of keys, and of tensors; published files have hundreds. */
export const MAX_ENTRIES = 65_536;
const FIRST_READ = 2 ** 20;
/** Bytes; the largest published headers, with vocabularies of 262,144 tokens, have about 12 MB. */
const MAX_HEADER = 64 * 2 ** 20;

/**
 * Reads and checks the header of a GGUF file: everything before the tensors' data.
 * Format: ggml's docs/gguf.md. As in llama.cpp, tensors must follow each other without gaps but for the alignment.
 *
 * @throws {GgufError} when the header breaks a rule; it names the key or tensor and the rule
 */
export async function readGgufHeader(file: Pick<InputFile, 'path' | 'size' | 'read'>): Promise<GgufHeader> {
  for (let length = Math.min(FIRST_READ, file.size); ;) {
    const bytes = Buffer.allocUnsafe(length);
    await file.read(bytes, 0);
    const cursor = new Cursor(file.path, bytes, file.size);
    try {
      return parse(cursor, file.size);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      if (error.end > MAX_HEADER)
        cursor.fail(
          'header',
          `expected at most ${MAX_HEADER} bytes, got more`,
          'No published model has a header of this size.',
        );
      length = Math.min(Math.max(4 * length, error.end), MAX_HEADER, file.size);
    }
  }
}

function parse(cursor: Cursor, fileSize: number): GgufHeader {
  const version = readVersion(cursor);
  const tensorCount = cursor.size('tensor count');
  const keyCount = cursor.size('metadata count');

  // A key takes at least a length, a byte, a type and a value; a tensor a length, a dimension count, a type and an offset.
  cursor.expect(keyCount, 14, 'metadata');
  cursor.expect(tensorCount, 24, 'tensor list');
  for (const [what, count] of [
    ['metadata', keyCount],
    ['tensor list', tensorCount],
  ] as const)
    if (count > MAX_ENTRIES) cursor.fail(what, `expected at most ${MAX_ENTRIES} entries, got ${count}`);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.text(`metadata key ${i}`, KEY_BYTES);
    if (key === '') cursor.fail(`metadata key ${i}`, 'expected a name, got an empty one');
    const what = `metadata key ${quote(key)}`;
    if (metadata.has(key)) cursor.fail(what, 'expected it once, got it twice');
    const type = cursor.u32(what);
    if (key === ALIGNMENT && type !== U32) cursor.fail(what, `expected a u32, got type ${type}`);
    metadata.set(key, readValue(cursor, what, type));
  }

  const alignment = readAlignment(cursor, metadata);
  const infos = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.text(`name of tensor ${i}`, NAME_BYTES);
    if (infos.has(name)) cursor.fail(`tensor ${quote(name)}`, 'expected it once, got it twice');
    infos.set(name, readTensorInfo(cursor, `tensor ${quote(name)}`));
  }

  const align = (position: number) => Math.ceil(position / alignment) * alignment;
  const dataStart = align(cursor.position);
  const tensors = new Map<string, GgufTensor>();
  let next = 0;
  for (const [name, { offset, ...tensor }] of infos) {
    const what = `tensor ${quote(name)}`;
    if (offset !== next) {
      cursor.fail(what, `expected data from offset ${next} on (aligned to ${alignment} bytes), got offset ${offset}`);
    }
    const position = dataStart + offset;
    if (position + tensor.bytes > fileSize) {
      cursor.fail(
        what,
        `expected ${tensor.bytes} bytes at byte ${position}, and the file ends at ${fileSize}`,
        'The file is incomplete: download it again.',
      );
    }
    next = align(offset + tensor.bytes);
    tensors.set(name, { ...tensor, position });
  }
  return { version, alignment, metadata, tensors };
}

function readVersion(cursor: Cursor): number {
  if (cursor.u32('magic') !== MAGIC) {
    const kind = kindOfFile(cursor.begin);
    cursor.fail(
      'magic',
      'expected a file that begins with "GGUF"',
      kind ? `It looks like ${kind}.` : 'Is it a GGUF file?',
    );
  }
  const version = cursor.u32('version');
  if (version !== 0 && (version & 0xffff) === 0) {
    cursor.fail(
      'version',
      'expected a little-endian file, got a big-endian one',
      'Convert it to little-endian with gguf-convert-endian.',
    );
  }
  if (version !== 2 && version !== 3) {
    cursor.fail('version', `expected 2 or 3, got ${version}`, 'Convert the model again with llama.cpp.');
  }
  return version;
}

function readAlignment(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = (metadata.get(ALIGNMENT) ?? 32) as number;
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
    cursor.fail(`metadata key "${ALIGNMENT}"`, `expected a power of two, got ${alignment}`);
  }
  return alignment;
}

interface TensorInfo {
  readonly type: GgmlType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

function readTensorInfo(cursor: Cursor, what: string): TensorInfo {
  const dims = cursor.u32(what);
  if (dims > MAX_DIMS) cursor.fail(what, `expected at most ${MAX_DIMS} dimensions, got ${dims}`);
  const sizes = Array.from({ length: dims }, () => cursor.size(what));
  const typeNumber = cursor.u32(what);
  const offset = cursor.size(what);

  const type = GGML_TYPES.get(typeNumber);
  if (type === undefined) failType(cursor, what, typeNumber);
  const { name, blockSize, blockBytes } = type;
  const row = sizes[0] ?? 1;
  if (row % blockSize !== 0) {
    cursor.fail(what, `expected rows of whole ${name} blocks of ${blockSize}, got rows of ${row} elements`);
  }
  // A size of 0 counts as 1 here, so that it does not hide a size that is too large.
  let elements = 1;
  for (const size of sizes) {
    elements *= Math.max(size, 1);
    if (elements > Number.MAX_SAFE_INTEGER)
      cursor.fail(what, `expected a shape of at most 2^53 elements, got [${sizes.join(', ')}]`);
  }
  if (sizes.includes(0)) elements = 0;
  return { type, shape: sizes.reverse(), offset, bytes: (elements / blockSize) * blockBytes };
}

function failType(cursor: Cursor, what: string, number: number): never {
  const removed = REMOVED_TYPES.get(number);
  if (removed === undefined) return cursor.fail(what, `expected a known tensor type, got ${number}`);
  return cursor.fail(
    what,
    `expected a supported tensor type, got ${removed}, which llama.cpp has removed`,
    'Use a newer version of the model.',
  );
}
