import { elements, byteSize, type DType } from '../../tensor/dtype.ts';
import { show } from '../../tensor/shape.ts';
import type { Checkpoint, StoredTensor } from '../model-files.ts';
import { readConverted } from '../files/decode-blocks.ts';
import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';
import { conversionTo, isSameFormat, naturalDType } from './conversions.ts';
import { bitsPerElement } from './dtypes.ts';
import { SafetensorsError } from './safetensors-error.ts';
import type { SafetensorsEntry } from './safetensors-header.ts';
import type { SafetensorsFile } from './open-safetensors.ts';

interface Located {
  readonly file: SafetensorsFile;
  readonly entry: SafetensorsEntry;
}

/** The weights of a model in one or many safetensors files. */
export class SafetensorsCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #files: readonly SafetensorsFile[];
  readonly #located = new Map<string, Located>();

  /** @param fileOf The file to take each tensor from, as the index states it; undefined where there is no index. */
  constructor(files: readonly SafetensorsFile[], fileOf?: ReadonlyMap<string, SafetensorsFile>) {
    this.#files = files;
    const tensors = new Map<string, StoredTensor>();
    for (const file of files) {
      for (const [name, entry] of file.tensors) {
        const listed = fileOf?.get(name);
        if (listed !== undefined && listed !== file) continue; // The index takes this tensor from another file.
        const unlisted = fileOf !== undefined && listed === undefined;
        const { dtype: format, shape, bytes } = entry;
        tensors.set(name, { format, shape, bytes, file: file.path, ...(unlisted && { unlisted }) });
        this.#located.set(name, { file, entry });
      }
    }
    this.tensors = tensors;
  }

  naturalDType(name: string): DType {
    const { file, entry } = this.#find(name);
    const dtype = naturalDType(entry.dtype);
    if (dtype === undefined) {
      throw new SafetensorsError(file.path, 'UnsupportedDType', `cannot decode ${entry.dtype}`, name);
    }
    return dtype;
  }

  async read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void> {
    const { file, entry } = this.#find(name);
    const count = target.length / byteSize(dtype);
    const all = elements(entry.shape);
    if (first === undefined ? count !== all : !Number.isInteger(count) || first + count > all) {
      const from = first === undefined ? '' : ` from element ${first} on`;
      const what = `expected a target of ${all * byteSize(dtype)} bytes for ${dtype} ${show(entry.shape)}, got ${target.length}${from}`;
      throw new SafetensorsError(file.path, 'InvalidTarget', what, name);
    }
    const fail = (problem: string): never => {
      throw new SafetensorsError(file.path, 'UnsupportedDType', problem, name);
    };
    const elementBytes = bitsPerElement(entry.dtype) / 8;
    const whole = file.locate(name);
    const stored = { ...whole, position: whole.position + (first ?? 0) * elementBytes, bytes: count * elementBytes };
    if (isSameFormat(entry.dtype, dtype)) {
      await stored.file.read(target, stored.position, signal);
      return;
    }
    const conversion = conversionTo(entry.dtype, dtype, fail) ?? fail(`cannot read ${entry.dtype} as ${dtype}`);
    await readConverted(stored, conversion, target, signal);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  #find(name: string): Located {
    const located = this.#located.get(name);
    if (located === undefined)
      throw new LoadError(`no tensor ${quote(name)} in ${this.#files.map((f) => f.path).join(', ')}`);
    return located;
  }
}
