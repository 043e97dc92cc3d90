import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '../../format-bytes.ts';
import { OptionError } from '../../options.ts';
import { addressSpace } from '../../platform/address-space.ts';
import { VitrineError } from '../../errors.ts';
import { cacheFolder } from '../../platform/cache-folder.ts';
import { installedBuild, NATIVE_BUILDS, nativeFolder } from './location.ts';

/** TensorFlow's native part is missing or cannot be loaded. */
export class AddonError extends VitrineError {
  override readonly name = 'AddonError';
}

/** Numbers of TensorFlow's dtypes (tensorflow/c/tf_datatype.h). */
export const TF = {
  float: 1,
  double: 2,
  int32: 3,
  uint8: 4,
  int8: 6,
  int64: 9,
  bool: 10,
  bfloat16: 14,
  uint16: 17,
  half: 19,
  resource: 20,
  uint32: 22,
  float8_e5m2: 24,
  float8_e4m3fn: 25,
} as const;

/** Numbers of the kinds of attributes an operation takes (tensorflow/c/tf_attrtype.h). */
export const TF_ATTR = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 } as const;

/** One attribute of an operation. Integers in a list must fit in 32 bits; a single one in 53. */
export type OpAttr =
  | { readonly name: string; readonly type: typeof TF_ATTR.string; readonly value: string }
  | { readonly name: string; readonly type: typeof TF_ATTR.int; readonly value: number | readonly number[] }
  | { readonly name: string; readonly type: typeof TF_ATTR.float; readonly value: number | readonly number[] }
  | { readonly name: string; readonly type: typeof TF_ATTR.bool; readonly value: boolean | readonly boolean[] }
  | { readonly name: string; readonly type: typeof TF_ATTR.type; readonly value: number }
  | { readonly name: string; readonly type: typeof TF_ATTR.shape; readonly value: readonly number[] };

/** What `executeOp` tells about each tensor it made. */
export interface TensorHandle {
  readonly id: number;
  readonly shape: number[];
  /** One of {@link TF}. */
  readonly dtype: number;
}

/** tfjs-node's C++ binding: TensorFlow's eager API on handles, which are numbers. All calls are synchronous. */
export interface Addon {
  readonly TF_Version: string;
  /**
   * Makes a tensor from a typed array: f32, i32, i64 (as an Int32Array of twice the length), u8 or bool. Memory that
   * starts on a 64-byte border is shared, not copied: later writes to the array show in the tensor.
   */
  createTensor(shape: readonly number[], dtype: number, data: Float32Array | Int32Array | Uint8Array): number;
  /** Frees a handle; throws where it is unknown. */
  deleteTensor(id: number): void;
  /** Copies a tensor's values out; f32, i32, i64, bool and resource only. */
  tensorDataSync(id: number): Float32Array | Int32Array | BigInt64Array | Uint8Array;
  /** Runs any operation that TensorFlow registers. Throws TensorFlow's message where it refuses. */
  executeOp(name: string, attrs: readonly OpAttr[], inputs: readonly number[], outputs: number): TensorHandle[];
  /** Handles alive. */
  getNumOfTensors(): number;
  isUsingGpuDevice(): boolean;
}

/** Settings that TensorFlow takes once per process. */
export interface AddonOptions {
  /** Threads inside one operation; default: as many as the machine has cores. */
  threads?: number | undefined;
  /** Let NVIDIA's tensor cores round the inputs of f32 products to 10 bits of mantissa; default false. */
  tf32?: boolean | undefined;
}

let loaded: { addon: Addon; threads: number | undefined; tf32: boolean } | undefined;

/**
 * Loads TensorFlow's native part, once per process; later calls return the same instance. TensorFlow reads its settings
 * when it is loaded, so a later call that asks for others throws {@link OptionError}; a missing or broken build {@link AddonError}.
 */
export function loadAddon({ threads, tf32 = false }: AddonOptions = {}): Addon {
  if (loaded === undefined) {
    refuseLittleAddressSpace(threads);
    setEnvironment(threads, tf32);
    loaded = { addon: requireAddon(), threads, tf32 };
  }
  const has = loaded.threads ?? availableParallelism();
  if (threads !== undefined && threads !== has) throw settled('threads', threads, has);
  if (tf32 !== loaded.tf32) throw settled('tf32', tf32, loaded.tf32);
  return loaded.addon;
}

/** In native code, an allocation that fails ends the process, so there must be enough before it is loaded. */
function refuseLittleAddressSpace(threads: number = availableParallelism()): void {
  const { limit, left } = addressSpace();
  // Measured: 0.8 GB for libraries and a first op with two threads; a thread reserves a stack and an arena of malloc's.
  const needed = 1.5e9 + threads * 150e6;
  if (left >= needed) return;
  throw new AddonError(
    `The address space is limited to ${formatBytes(limit)} (ulimit -v), of which ${formatBytes(left)} are left. ` +
      `TensorFlow needs about ${formatBytes(needed)} with ${threads} threads. Raise the limit, or use the reference backend ` +
      '(--backend reference).',
  );
}

/** The native library copies the environment when it starts, so this comes first. */
function setEnvironment(threads: number | undefined, tf32: boolean): void {
  process.env.TF_CPP_MIN_LOG_LEVEL = '3';
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  // The calling thread takes its share of a product instead of waiting for two others: 1.2 times faster at one row.
  process.env.TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD ??= '1';
  if (!tf32) process.env.NVIDIA_TF32_OVERRIDE = '0';
  if (threads !== undefined) process.env.TF_NUM_INTRAOP_THREADS = String(threads);
}

function requireAddon(): Addon {
  const build = installedBuild();
  if (build === undefined) {
    throw new AddonError(
      `Native TensorFlow is not installed: no build for ${process.platform}-${process.arch} in ` +
        `${join(cacheFolder(), 'native')}. Run \`vitrine setup\` (in a clone: \`npm start\`) to get it.`,
    );
  }
  const folder = nativeFolder(build);
  const require = createRequire(import.meta.url);
  try {
    return require(join(folder, NATIVE_BUILDS[build].addon)) as Addon;
  } catch (error) {
    throw new AddonError(
      `Native TensorFlow in ${folder} cannot be loaded: ${error instanceof Error ? error.message : String(error)}. ` +
        `Delete that folder and run \`vitrine setup\` to build it again.`,
      { cause: error },
    );
  }
}

const settled = (option: string, asked: number | boolean, has: number | boolean): OptionError =>
  new OptionError(
    `TensorFlow was loaded with ${option} = ${has} and cannot change to ${asked} in this process. ` +
      `Use one value of ${option} for all models of a process.`,
  );
