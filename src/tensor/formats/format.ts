/**
 * How numbers lie in a file or in memory: blocks of `blockSize` elements in `blockBytes` bytes each.
 * One storage format per file of this folder; `decode` is its definition.
 */
export interface Format {
  readonly name: string;
  /** Elements per block; a row of a tensor is a whole number of blocks. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** Decodes whole blocks: `blocks.length / blockBytes * blockSize` elements are written to `out` from index 0. */
  decode(blocks: Uint8Array, out: Float32Array): void;
}

/** A format that holds any f32 by rounding it (nearest, ties to even). */
export interface WritableFormat extends Format {
  encode(values: Float32Array, out: Uint8Array): void;
}
