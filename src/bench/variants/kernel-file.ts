import { register } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { VitrineError } from '../../errors.ts';
import { toBf16 } from '../../tensor/formats/bf16.ts';
import type { Sizes } from '../suites/suite.ts';
import { tierOf } from '../timing/compiler-tier.ts';
import type { Prepared, Task, Variant } from './variant.ts';
import { packedFormat, WEIGHT_FORMATS, type WeightFormat } from '../subject/weight-format.ts';

/**
 * The arrays that a kernel's file gets, by name. Matrices are f32, or bits of bf16 for a module that exports `weights = 'bf16'`. With
 * `weights = 'mxfp4'` or `'fp8'`, `w` has a matrix's codes and `wScales` its factors (E8M0 bytes, or f32), both as in
 * `src/tensor/formats`. Indices are i32; everything else is f32.
 */
export type KernelInputs = Readonly<Record<string, Float32Array | Int32Array | Uint16Array | Uint8Array>>;

/** The exports of a file given to `--variant`. Sizes are named by the suite's letters; all functions are synchronous. */
export interface KernelModule {
  /** The op, which is timed. Its result is row-major. */
  readonly default: (inputs: KernelInputs, sizes: Sizes) => Float32Array;
  /** Called once for each copy of the weights, untimed; gives the arrays that the op gets. Default: the inputs as they are. */
  readonly prepare?: (inputs: KernelInputs, sizes: Sizes) => KernelInputs;
  /** The format in which it gets matrices. Default `f32`. */
  readonly weights?: WeightFormat;
  /** `bf16`: it rounds activations to bf16 before a product, and is held to that precision. Default `f32`. */
  readonly compute?: 'f32' | 'bf16';
}

/**
 * Imports a variant from a user's file: JavaScript, or TypeScript whose types can be stripped.
 *
 * @param instance Each name has an instance of the module of its own, whose code V8 compiles apart. Default: one that all share.
 * @throws {VitrineError} when the file cannot be imported, or is no kernel.
 */
export async function kernelFromFile(file: string, name: string, instance = ''): Promise<Variant> {
  const module = await importKernel(file, instance);
  const { default: kernel, prepare = (inputs: KernelInputs) => inputs, weights = 'f32', compute = 'f32' } = module;
  return {
    name,
    weights,
    compute,
    prepare: ({ inputs, packed, operands, site, sizes, copies }: Task): Prepared => {
      const given = (name: string): KernelInputs => {
        const { kind } = operands[name];
        if (kind === 'indices') return { [name]: Int32Array.from(inputs[name]) };
        if (kind !== 'matrix') return { [name]: kind === 'store' ? inputs[name].slice() : inputs[name] };
        const format = packedFormat(weights);
        if (format === undefined)
          return { [name]: weights === 'bf16' ? Uint16Array.from(inputs[name], toBf16) : inputs[name].slice() };
        if (!(name in packed) || packed[name].format !== format)
          throw new VitrineError(
            `--variant ${file}: it takes ${weights} matrices, and those at ${site} are stored otherwise. Choose sites with --site.`,
          );
        const { codes, scales } = packed[name];
        return { [name]: codes.slice(), [`${name}Scales`]: scales.slice() };
      };
      const sets = Array.from({ length: copies }, (): KernelInputs => {
        const own = Object.fromEntries(Object.keys(operands).flatMap((name) => Object.entries(given(name))));
        return prepare(own, sizes);
      });
      return {
        run: (copy) => {
          latest = kernel(sets[copy], sizes);
        },
        result: (copy) => kernel(sets[copy], sizes),
        kernels: () => [file],
        tier: () => tierOf(kernel),
        dispose: () => {
          sets.length = 0;
        },
      };
    },
  };
}

/** The last result, exported so that the compiler cannot drop a call as unused. */
export let latest: unknown;

async function importKernel(file: string, instance: string): Promise<KernelModule> {
  const path = resolve(file);
  if (/\.m?ts$/.test(path) && !('typescript' in process.features && process.features.typescript))
    register('../../../dist/bench/variants/typescript-loader.js', import.meta.url);
  let module: Partial<KernelModule>;
  try {
    const url = pathToFileURL(path);
    url.hash = instance;
    module = (await import(url.href)) as Partial<KernelModule>;
  } catch (error) {
    throw new VitrineError(
      `--variant ${file}: cannot be imported: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
  const problem =
    typeof module.default !== 'function'
      ? 'expected its default export to be a function (inputs, sizes) => Float32Array'
      : module.prepare !== undefined && typeof module.prepare !== 'function'
        ? 'expected its export "prepare" to be a function'
        : module.weights !== undefined && !WEIGHT_FORMATS.includes(module.weights)
          ? `expected its export "weights" to be one of ${WEIGHT_FORMATS.join(', ')}`
          : ![undefined, 'f32', 'bf16'].includes(module.compute)
            ? 'expected its export "compute" to be f32 or bf16'
            : undefined;
  if (problem !== undefined) throw new VitrineError(`--variant ${file}: ${problem}.`);
  return module as KernelModule;
}
