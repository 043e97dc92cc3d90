import { quote } from '../../quote.ts';
import { isSafetensorsDType, SAFETENSORS_DTYPES, type SafetensorsDType } from './dtypes.ts';
import { JsonScanner, JsonSyntaxError } from './json-scanner.ts';

/** A tensor as the header describes it; only the syntax and the dtype have been checked. */
export interface HeaderEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** First byte and byte after the last, counted from the end of the header. */
  readonly dataOffsets: readonly [number, number];
}

/** The contents of a header, in its order. */
export interface ScannedHeader {
  readonly entries: ReadonlyMap<string, HeaderEntry>;
  /** `__metadata__`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** A header that is not JSON, or whose entries lack a field or have one of another type. */
export class HeaderSyntaxError extends Error {
  /** Index of the byte in the header. */
  readonly at: number;
  /** The tensor in whose entry the byte lies, if it lies in one. */
  readonly entry: string | undefined;

  constructor(message: string, at: number, entry: string | undefined) {
    super(message);
    this.at = at;
    this.entry = entry;
  }
}

/**
 * The largest numbers of things in a header, far above those of published files. The format allows a header of 100 MB, which
 * would take gigabytes of memory if it were made of many small values.
 */
export const HEADER_LIMITS = {
  /** DeepSeek-V3 has 92,000, in 163 files. */
  tensors: 2 ** 17,
  /** The limit of NumPy's arrays and of PyTorch's tensors. */
  dimensions: 64,
  /** The longest published names have some 150 bytes. */
  nameBytes: 1000,
  /** Entries of `__metadata__`. */
  metadata: 2 ** 16,
} as const;

/** The key of a header that is not a tensor. */
export const METADATA_KEY = '__metadata__';

/**
 * Scans the JSON of a safetensors header: `{ name: { dtype, shape, data_offsets }, __metadata__: { key: value } }`.
 * `JSON.parse` is not strict enough: it keeps the last of two equal keys, takes 4.0 for 4 and rounds 2^53 + 1.
 *
 * @param bytes The header, in UTF-8.
 * @throws {HeaderSyntaxError} when the header is malformed, or exceeds one of {@link HEADER_LIMITS}
 */
export function scanHeader(bytes: Buffer): ScannedHeader {
  const scanner = new JsonScanner(bytes);
  const entries = new Map<string, HeaderEntry>();
  let metadata: ReadonlyMap<string, string> | undefined;
  let current: string | undefined;
  const member = (): void => {
    const name = scanner.key(HEADER_LIMITS.nameBytes);
    if (name === METADATA_KEY) {
      if (metadata !== undefined) scanner.fail(`expected one ${METADATA_KEY}, got a second`);
      metadata = scanMetadata(scanner);
    } else {
      current = name;
      if (entries.has(name)) scanner.fail('expected each name once, got it twice');
      entries.set(name, scanEntry(scanner));
      current = undefined;
    }
  };
  try {
    scanner.object(member, { most: HEADER_LIMITS.tensors, what: 'tensors' });
    if (scanner.peek() !== '') scanner.fail('expected only white space after the header');
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new HeaderSyntaxError(error.message, error.at, current);
    throw error;
  }
  return { entries, metadata: metadata ?? new Map<string, string>() };
}

/** The value of `__metadata__`: strings by key; `null` counts as empty. */
function scanMetadata(scanner: JsonScanner): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (scanner.peek() === 'n') {
    scanner.word('null');
    return metadata;
  }
  const member = (): void => {
    const key = scanner.key();
    if (metadata.has(key)) scanner.fail(`expected each key of ${METADATA_KEY} once, got ${quote(key)} twice`);
    metadata.set(key, scanner.string());
  };
  scanner.object(member, { most: HEADER_LIMITS.metadata, what: `entries of ${METADATA_KEY}` });
  return metadata;
}

function scanEntry(scanner: JsonScanner): HeaderEntry {
  let dtype: SafetensorsDType | undefined;
  let shape: number[] | undefined;
  let dataOffsets: number[] | undefined;
  const once = (field: string, value: unknown): void => {
    if (value !== undefined) scanner.fail(`expected ${field} once, got it twice`);
  };
  scanner.object(() => {
    const field = scanner.key();
    if (field === 'dtype') {
      once(field, dtype);
      dtype = scanDType(scanner);
    } else if (field === 'shape') {
      once(field, shape);
      shape = scanIntegers(scanner);
    } else if (field === 'data_offsets') {
      once(field, dataOffsets);
      dataOffsets = scanIntegers(scanner);
      if (dataOffsets.length !== 2) scanner.fail(`expected 2 data_offsets, got ${dataOffsets.length}`);
    } else scanner.skipValue(2);
  });
  if (dtype === undefined) return scanner.fail('expected a dtype, got none');
  if (shape === undefined) return scanner.fail('expected a shape, got none');
  if (dataOffsets === undefined) return scanner.fail('expected data_offsets, got none');
  return { dtype, shape, dataOffsets: dataOffsets as [number, number] };
}

function scanDType(scanner: JsonScanner): SafetensorsDType {
  const name = scanner.string();
  if (isSafetensorsDType(name)) return name;
  return scanner.fail(`expected a dtype of ${SAFETENSORS_DTYPES.join(' ')}, got ${quote(name)}`);
}

function scanIntegers(scanner: JsonScanner): number[] {
  const values: number[] = [];
  scanner.array(() => {
    if (values.length === HEADER_LIMITS.dimensions)
      scanner.fail(`expected at most ${HEADER_LIMITS.dimensions} dimensions, got more`);
    values.push(scanner.integer());
  });
  return values;
}
