import { byteSize, type DType, elements } from '../../tensor/dtype.ts';
import type { Checkpoint, StoredTensor } from '../model-files.ts';
import { quote } from '../../quote.ts';
import type { GgufCheckpoint } from './gguf-checkpoint.ts';
import { GgufError } from './gguf-error.ts';

/** A published tensor that the file stores as several tensors. It is read in equal members, such as the experts of a stack. */
export interface Composed {
  readonly name: string;
  /** Its shape, and the bytes of all the tensors that it is made of. */
  readonly stored: StoredTensor;
  readonly naturalDType: DType;
  /** The number of members, which follow each other along the first axis. */
  readonly members: number;
  /** Reads one member into `target`, which has its length. */
  readonly readMember: (index: number, dtype: DType, target: Uint8Array, signal?: AbortSignal) => Promise<void>;
}

/** The tensors of a GGUF file by their published names, where some published tensors are made of several. */
export class ComposedCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #inner: GgufCheckpoint;
  readonly #composed: ReadonlyMap<string, Composed>;

  /** @param parts The names of the tensors in `inner` that `composed` are made of. */
  constructor(inner: GgufCheckpoint, composed: readonly Composed[], parts: ReadonlySet<string>) {
    this.#inner = inner;
    this.#composed = new Map(composed.map((it) => [it.name, it]));
    const others = [...inner.tensors].filter(([name]) => !parts.has(name));
    this.tensors = new Map([...others, ...composed.map((it) => [it.name, it.stored] as const)]);
  }

  naturalDType(name: string): DType {
    return this.#composed.get(name)?.naturalDType ?? this.#inner.naturalDType(name);
  }

  async read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void> {
    const found = this.#composed.get(name);
    if (found === undefined) return this.#inner.read(name, dtype, target, signal, first);
    const { stored, members, readMember } = found;
    const memberBytes = (elements(stored.shape) / members) * byteSize(dtype);
    const [from, count] = [((first ?? 0) * byteSize(dtype)) / memberBytes, target.length / memberBytes];
    const fits = first === undefined ? count === members : from + count <= members;
    if (!fits || !Number.isInteger(from) || !Number.isInteger(count))
      throw new GgufError(
        `${stored.file}: tensor ${quote(name)}: it can be read in ${members} parts of ${memberBytes} bytes, ` +
          `got ${target.length} bytes from element ${first ?? 0} on.`,
      );
    for (let i = 0; i < count; i++)
      await readMember(from + i, dtype, target.subarray(i * memberBytes, (i + 1) * memberBytes), signal);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
