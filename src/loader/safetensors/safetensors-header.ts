import { isUtf8 } from 'node:buffer';

import type { InputFile } from '../files/input-file.ts';
import { show } from '../../tensor/shape.ts';
import { byteLength, type SafetensorsDType } from './dtypes.ts';
import { SafetensorsError, type SafetensorsRule } from './safetensors-error.ts';
import { HeaderSyntaxError, scanHeader, type HeaderEntry, type ScannedHeader } from './scan-header.ts';

/** The largest header in bytes: the limit of the format's own reader. */
export const MAX_HEADER_BYTES = 100_000_000;

/** A tensor of a file: what it is, and where its bytes are. */
export interface SafetensorsEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** First byte and byte after the last, counted from the end of the header, as the file states them. */
  readonly dataOffsets: readonly [number, number];
  /** First byte, counted from the start of the file. */
  readonly position: number;
  /** Length in the file. */
  readonly bytes: number;
}

/** The header of a file, checked. */
export interface SafetensorsHeader {
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** `__metadata__`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Length of the header itself. */
  readonly bytes: number;
}

type Fail = (rule: SafetensorsRule, problem: string, tensor?: string) => never;

/**
 * Reads the header of a file and checks it against the format: https://github.com/huggingface/safetensors (README, and
 * `Metadata::validate` of its reader). The tensors of a valid file cover its data without holes or overlaps.
 *
 * Four things that the format's reader accepts are refused, because the text of the format forbids them or JavaScript cannot
 * represent them: a name that occurs twice (also in the metadata), an entry written as an array, a number above 2^53 - 1, and
 * more tensors, dimensions or metadata than `HEADER_LIMITS` allows.
 *
 * @throws {SafetensorsError} when the header breaks a rule; it names the file, the tensor and the rule
 */
export async function readHeader(file: InputFile): Promise<SafetensorsHeader> {
  const fail: Fail = (rule, problem, tensor) => {
    throw new SafetensorsError(file.path, rule, problem, tensor);
  };

  if (file.size < 8) fail('HeaderTooSmall', `expected at least 8 bytes, got ${file.size}`);
  const lengthBytes = new Uint8Array(8);
  await file.read(lengthBytes, 0);
  const length = new DataView(lengthBytes.buffer).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES)
    fail('HeaderTooLarge', `expected a header of at most 100 MB, got a length of ${length}`);
  const dataStart = 8 + Number(length);
  if (dataStart > file.size) {
    fail(
      'InvalidHeaderLength',
      `expected a header that ends within the file's ${file.size} bytes, got ${length} bytes of it`,
    );
  }

  const scanned = await scan(file, Number(length), fail);
  const dataBytes = file.size - dataStart;
  checkLayout(scanned.entries, dataBytes, fail);

  const tensors = new Map<string, SafetensorsEntry>();
  for (const [name, { dtype, shape, dataOffsets }] of scanned.entries) {
    const [begin, end] = dataOffsets;
    tensors.set(name, {
      dtype,
      shape,
      dataOffsets,
      position: dataStart + begin,
      bytes: end - begin,
    });
  }
  return { tensors, metadata: scanned.metadata, bytes: Number(length) };
}

async function scan(file: InputFile, length: number, fail: Fail): Promise<ScannedHeader> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  await file.read(bytes, 8);
  if (!isUtf8(bytes)) fail('InvalidHeader', 'expected a header in UTF-8, got bytes that are not');
  try {
    return scanHeader(bytes);
  } catch (error) {
    if (!(error instanceof HeaderSyntaxError)) throw error;
    return fail('InvalidHeaderDeserialization', `header, byte ${error.at}: ${error.message}`, error.entry);
  }
}

/** Checks that every byte of data belongs to one tensor, and that each tensor has the bytes of its shape and dtype. */
function checkLayout(entries: ReadonlyMap<string, HeaderEntry>, dataBytes: number, fail: Fail): void {
  const inOrder = [...entries].sort(([, { dataOffsets: a }], [, { dataOffsets: b }]) => a[0] - b[0] || a[1] - b[1]);
  let previousEnd = 0;
  let last: string | undefined;
  for (const [name, { dtype, shape, dataOffsets }] of inOrder) {
    const [begin, end] = dataOffsets;
    if (begin !== previousEnd || end < begin) {
      fail('InvalidOffset', `expected data_offsets from ${previousEnd} upwards, got [${begin}, ${end}]`, name);
    }
    const needed = byteLength(dtype, shape);
    const what = `${dtype} ${show(shape)}`;
    if (needed === 'overflow') fail('ValidationOverflow', `expected a size below 2^64 bits, got ${what}`, name);
    if (needed === 'misaligned') fail('MisalignedSlice', `expected whole bytes, got ${what}`, name);
    if (needed !== BigInt(end - begin)) {
      fail('TensorInvalidInfo', `expected ${needed} bytes for ${what}, got data_offsets [${begin}, ${end}]`, name);
    }
    previousEnd = end;
    last = name;
  }
  if (previousEnd !== dataBytes) {
    fail(
      'MetadataIncompleteBuffer',
      `expected ${previousEnd} bytes of data after the header, got ${dataBytes}`,
      previousEnd > dataBytes ? last : undefined,
    );
  }
}
