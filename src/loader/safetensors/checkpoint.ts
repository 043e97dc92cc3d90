import { elements, byteSize, type DType } from '../../tensor/dtype.ts';
import type { Checkpoint, StoredTensor } from '../checkpoint.ts';
import { readConverted } from '../decode.ts';
import { LoadError, quote } from '../load-error.ts';
import { conversionTo, isSameFormat, naturalDType } from './conversions.ts';
import { bitsPerElement } from './dtypes.ts';
import { SafetensorsError } from './error.ts';
import type { SafetensorsEntry } from './header.ts';
import type { SafetensorsFile } from './read.ts';

interface Located {
  readonly file: SafetensorsFile;
  readonly entry: SafetensorsEntry;
}

/** The weights of a model in one or many safetensors files. */
export class SafetensorsCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  private readonly files: readonly SafetensorsFile[];
  private readonly located = new Map<string, Located>();

  /** @throws SafetensorsError when two files hold a tensor of the same name. */
  constructor(files: readonly SafetensorsFile[]) {
    this.files = files;
    const tensors = new Map<string, StoredTensor>();
    for (const file of files) {
      for (const [name, entry] of file.tensors) {
        const other = tensors.get(name);
        if (other !== undefined) {
          throw new SafetensorsError(
            file.path,
            'DuplicateTensor',
            `expected it in one file, but ${other.file} holds it too`,
            name,
          );
        }
        tensors.set(name, { format: entry.dtype, shape: entry.shape, bytes: entry.bytes, file: file.path });
        this.located.set(name, { file, entry });
      }
    }
    this.tensors = tensors;
  }

  naturalDType(name: string): DType {
    const { file, entry } = this.find(name);
    const dtype = naturalDType(entry.dtype);
    if (dtype === undefined) {
      throw new SafetensorsError(file.path, 'UnsupportedDType', `cannot decode ${entry.dtype}`, name);
    }
    return dtype;
  }

  async read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void> {
    const { file, entry } = this.find(name);
    const count = target.length / byteSize(dtype);
    const all = elements(entry.shape);
    if (first === undefined ? count !== all : !Number.isInteger(count) || first + count > all) {
      const from = first === undefined ? '' : ` from element ${first} on`;
      const what = `expected a target of ${all * byteSize(dtype)} bytes for ${dtype} [${entry.shape.join(', ')}], got ${target.length}${from}`;
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
    await Promise.all(this.files.map((file) => file.close()));
  }

  private find(name: string): Located {
    const located = this.located.get(name);
    if (located === undefined)
      throw new LoadError(`no tensor ${quote(name)} in ${this.files.map((f) => f.path).join(', ')}`);
    return located;
  }
}
