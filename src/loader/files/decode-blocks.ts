import type { DType } from '../../tensor/dtype.ts';
import type { Format } from '../../tensor/formats/format.ts';
import { FLOAT_FORMATS } from '../../tensor/formats/float-formats.ts';
import type { InputFile } from './input-file.ts';

/** A conversion of stored blocks to elements of a dtype. */
export interface Conversion {
  /** Bytes of one block in the file. */
  readonly sourceBytes: number;
  /** Bytes of one block after the conversion. */
  readonly targetBytes: number;
  /** Converts whole blocks; `target` is 4-byte aligned. */
  readonly convert: (source: Uint8Array, target: Uint8Array) => void;
}

/** The place of a tensor's bytes in a file. */
export interface StoredBytes {
  readonly file: InputFile;
  /** First byte, counted from the start of the file. */
  readonly position: number;
  readonly bytes: number;
}

/** Bytes of stored blocks that are decoded at a time. */
const SCRATCH = 2 ** 20;

const floats = (bytes: Uint8Array): Float32Array =>
  new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);

/** The conversion from a format to a float dtype, through f32; undefined when the dtype is not a float. */
export function floatConversion(format: Format, dtype: DType): Conversion | undefined {
  const writable = FLOAT_FORMATS[dtype];
  if (writable === undefined) return undefined;
  const { blockSize, blockBytes: sourceBytes } = format;
  const targetBytes = blockSize * writable.blockBytes;
  if (dtype === 'f32') {
    return {
      sourceBytes,
      targetBytes,
      convert: (source, target) => {
        format.decode(source, floats(target));
      },
    };
  }
  const scratch = new Float32Array(Math.ceil(SCRATCH / sourceBytes) * blockSize);
  return {
    sourceBytes,
    targetBytes,
    convert: (source, target) => {
      const values = scratch.subarray(0, (source.length / sourceBytes) * blockSize);
      format.decode(source, values);
      writable.encode(values, target);
    },
  };
}

/**
 * Reads the blocks of a tensor and converts them into `target`, some at a time.
 * @param target Has the length of the whole result.
 * @throws {LoadError} when the file was written to since it was opened; the signal's reason when it is aborted
 */
export async function readConverted(
  { file, position, bytes }: StoredBytes,
  { sourceBytes, targetBytes, convert }: Conversion,
  target: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const blocks = bytes / sourceBytes;
  const blocksAtATime = Math.max(1, Math.floor(SCRATCH / sourceBytes));
  const source = new Uint8Array(Math.min(blocks, blocksAtATime) * sourceBytes);
  // A typed array must begin at a multiple of its element size, so other targets are filled through an aligned copy.
  const aligned =
    target.byteOffset % 4 === 0 && targetBytes % 4 === 0 ? undefined : new Uint8Array(blocksAtATime * targetBytes);
  for (let first = 0; first < blocks; first += blocksAtATime) {
    const count = Math.min(blocksAtATime, blocks - first);
    const from = source.subarray(0, count * sourceBytes);
    await file.read(from, position + first * sourceBytes, signal);
    const to = target.subarray(first * targetBytes, (first + count) * targetBytes);
    if (aligned === undefined) convert(from, to);
    else {
      convert(from, aligned.subarray(0, to.length));
      to.set(aligned.subarray(0, to.length));
    }
  }
}
