import type { DType } from '../tensor/dtype.ts';
import type { TokenizerFiles } from '../tokenizer/tokenizer-files.ts';

/** A tensor as a file holds it. */
export interface StoredTensor {
  /** The name of the format as the file spells it: `BF16` and `F8_E4M3` in safetensors, `Q4_1` in GGUF. */
  readonly format: string;
  /** Row-major, `[out, in]` for a linear layer. */
  readonly shape: readonly number[];
  /** Bytes in the file. */
  readonly bytes: number;
  /** The path of its file, for messages. */
  readonly file: string;
  /** The index does not list it: a model may use it, and is not refused because it does not. */
  readonly unlisted?: boolean;
}

/** The weights of a model by their Hugging Face names, whatever files store them. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The dtype that `weights: 'auto'` reads a tensor in: the stored one, bf16 for block formats, and i32 for other integers. */
  naturalDType(name: string): DType;
  /**
   * Reads a tensor as `dtype` into `target`, of `elements * byteSize(dtype)` bytes. Stored bytes of the same dtype are read
   * straight into `target`; others are decoded.
   *
   * @param first The first element of a part of the tensor; the length of `target` then says how many are read.
   * @throws {LoadError} when there is no such tensor, it cannot be converted to `dtype`, or `target` has another length
   */
  read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void>;
  close(): Promise<void>;
}

/** The parts of a model, whatever its source: a folder, a GGUF file or a hub repository. */
export interface ModelFiles {
  /** The source in messages: a path or `org/name`. */
  readonly source: string;
  /** config.json, as parsed JSON. */
  readonly config: Readonly<Record<string, unknown>>;
  /** generation_config.json, where there is one. */
  readonly generationConfig: Readonly<Record<string, unknown>> | undefined;
  /** The files of the tokenizer, where there are some. */
  readonly tokenizer: TokenizerFiles | undefined;
  readonly checkpoint: Checkpoint;
  /** Lines for the user about these files, such as links that were followed. */
  readonly notes?: readonly string[];
}
