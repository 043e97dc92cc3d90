import type { DType } from '../tensor/dtype.ts';
import type { TokenizerFiles } from '../tokenizer/tokenizer-files.ts';

/** A tensor as a file holds it. */
export interface StoredTensor {
  /** The format's name as its file spells it: `BF16` and `F8_E4M3` in safetensors, `Q4_1` in GGUF. */
  readonly format: string;
  /** Row-major, `[out, in]` for a linear layer. */
  readonly shape: readonly number[];
  /** Bytes in the file. */
  readonly bytes: number;
  /** The file that holds it, for messages. */
  readonly file: string;
  /** The index of its files does not list it: it counts only where a model needs it. */
  readonly unlisted?: boolean;
}

/** The weights of a model by their Hugging Face names, wherever they are stored. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The dtype in which a tensor can be read without loss and without growing: what `weights: 'auto'` means. */
  naturalDType(name: string): DType;
  /**
   * Reads a tensor as `dtype` into `target` (`elements * byteSize(dtype)` bytes), decoding when the stored format is
   * another. Bytes that need no decoding go straight from the file to `target`.
   *
   * @param first For a part of a tensor: the element that it begins with; `target` then says how many follow.
   */
  read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void>;
  close(): Promise<void>;
}

/** What a model consists of, from whatever source: a folder, a GGUF file, a hub repository. */
export interface ModelFiles {
  /** Where it came from, for messages: a path or `org/name`. */
  readonly source: string;
  /** config.json, as parsed JSON. */
  readonly config: Readonly<Record<string, unknown>>;
  /** generation_config.json, where there is one. */
  readonly generationConfig: Readonly<Record<string, unknown>> | undefined;
  readonly tokenizer: TokenizerFiles | undefined;
  readonly checkpoint: Checkpoint;
  /** What a user may want to know about these files, one line each. */
  readonly notes?: readonly string[];
}
