import { quote } from '../../quote.ts';
import type { InputFile } from '../input-file.ts';
import { Cursor, NeedMoreBytes } from './cursor.ts';
import { otherFile } from './magic.ts';
import { GGML_TYPES, type GgmlType, REMOVED_TYPES } from './gguf-types.ts';
import { type GgufValue, readValue } from './metadata-values.ts';

export interface GgufTensor {
  readonly type: GgmlType;
  /** Row-major; the file lists the sizes in the opposite order. */
  readonly shape: readonly number[];
  /** Where its bytes begin in the file. */
  readonly position: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly alignment: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** By the file's own names, in the file's order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MAGIC = 0x46554747; // "GGUF"
const ALIGNMENT = 'general.alignment';
const U32 = 4;
const KEY_BYTES = 65_535;
const NAME_BYTES = 63;
const MAX_DIMS = 4;
/** Of keys, and of tensors; published files have hundreds. */
export const MAX_ENTRIES = 65_536;
const FIRST_READ = 2 ** 20;
/** The largest published headers, with vocabularies of 262,144 tokens, take about 12 MB. */
const MAX_HEADER = 64 * 2 ** 20;

/**
 * Reads and checks the header of a GGUF file: everything before the tensors' data.
 * Format: ggml's docs/gguf.md. As llama.cpp does, it insists that tensors lie one after another without gaps.
 *
 * @throws GgufError naming the key or tensor and the rule that is broken
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
        cursor.fail('header', `it is larger than ${MAX_HEADER} bytes`, 'No published model comes near this size.');
      length = Math.min(Math.max(4 * length, error.end), MAX_HEADER, file.size);
    }
  }
}

function parse(cursor: Cursor, fileSize: number): GgufHeader {
  const version = readVersion(cursor);
  const tensorCount = cursor.size('tensor count');
  const keyCount = cursor.size('metadata count');

  // Keys have at least a length, a byte, a type and a value; tensors a length, a dimension count, a type and an offset.
  cursor.expect(keyCount, 14, 'metadata');
  cursor.expect(tensorCount, 24, 'tensor list');
  for (const [what, count] of [
    ['metadata', keyCount],
    ['tensor list', tensorCount],
  ] as const)
    // prettier-ignore
    if (count > MAX_ENTRIES) cursor.fail(what, `expected at most ${MAX_ENTRIES} entries, got ${count}`);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.text(`metadata key ${i}`, KEY_BYTES);
    if (key === '') cursor.fail(`metadata key ${i}`, 'it is empty');
    const what = `metadata key ${quote(key)}`;
    if (metadata.has(key)) cursor.fail(what, 'it occurs twice');
    const type = cursor.u32(what);
    if (key === ALIGNMENT && type !== U32) cursor.fail(what, 'it must be a u32');
    metadata.set(key, readValue(cursor, what, type));
  }

  const alignment = readAlignment(cursor, metadata);
  const infos = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.text(`name of tensor ${i}`, NAME_BYTES);
    if (infos.has(name)) cursor.fail(`tensor ${quote(name)}`, 'it occurs twice');
    infos.set(name, readTensorInfo(cursor, `tensor ${quote(name)}`));
  }

  const align = (position: number) => Math.ceil(position / alignment) * alignment;
  const dataStart = align(cursor.position);
  const tensors = new Map<string, GgufTensor>();
  let next = 0;
  for (const [name, { offset, ...tensor }] of infos) {
    const what = `tensor ${quote(name)}`;
    if (offset !== next) {
      cursor.fail(what, `its data must begin at offset ${next} (aligned to ${alignment} bytes), not at ${offset}`);
    }
    const position = dataStart + offset;
    if (position + tensor.bytes > fileSize) {
      cursor.fail(
        what,
        `its ${tensor.bytes} bytes at ${position} end beyond the file, which has ${fileSize} bytes`,
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
    const other = otherFile(cursor.begin);
    cursor.fail(
      'magic',
      'the file does not begin with "GGUF"',
      other ? `It looks like ${other}.` : 'Is it a GGUF file?',
    );
  }
  const version = cursor.u32('version');
  if (version !== 0 && (version & 0xffff) === 0) {
    cursor.fail('version', 'the file is big-endian', 'Convert it to little-endian with gguf-convert-endian.');
  }
  if (version !== 2 && version !== 3) {
    cursor.fail('version', `versions 2 and 3 can be read, got ${version}`, 'Convert the model again with llama.cpp.');
  }
  return version;
}

function readAlignment(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = (metadata.get(ALIGNMENT) ?? 32) as number;
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
    cursor.fail(`metadata key "${ALIGNMENT}"`, `it must be a power of two, got ${alignment}`);
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
  if (dims > MAX_DIMS) cursor.fail(what, `it has ${dims} dimensions, and at most ${MAX_DIMS} are allowed`);
  const sizes = Array.from({ length: dims }, () => cursor.size(what));
  const typeNumber = cursor.u32(what);
  const offset = cursor.size(what);

  const type = GGML_TYPES.get(typeNumber);
  if (type === undefined) failType(cursor, what, typeNumber);
  const { name, blockSize, blockBytes } = type;
  const row = sizes[0] ?? 1;
  if (row % blockSize !== 0) {
    cursor.fail(what, `its rows of ${row} elements are no whole number of ${name} blocks of ${blockSize}`);
  }
  // Sizes are multiplied as they are, so that a 0 hides no absurd size beside it.
  let elements = 1;
  for (const size of sizes) {
    elements *= Math.max(size, 1);
    if (elements > Number.MAX_SAFE_INTEGER) cursor.fail(what, `its shape [${sizes.join(', ')}] is too large`);
  }
  if (sizes.includes(0)) elements = 0;
  return { type, shape: sizes.reverse(), offset, bytes: (elements / blockSize) * blockBytes };
}

function failType(cursor: Cursor, what: string, number: number): never {
  const removed = REMOVED_TYPES.get(number);
  if (removed === undefined) return cursor.fail(what, `there is no tensor type ${number}`);
  return cursor.fail(
    what,
    `its type ${removed} is one that llama.cpp has given up`,
    'Take a newer version of the model.',
  );
}
