import type { Json } from '../../json.ts';
import type { Composed } from './composed-checkpoint.ts';
import type { GgufCheckpoint } from './gguf-checkpoint.ts';
import type { Restore } from './restore.ts';

/**
 * How an architecture in llama.cpp's files differs from the published model: names of tensors, order of rows, keys of the config.
 * Source of the names: TENSOR_NAMES in constants.py of llama.cpp's Python package gguf.
 */
export interface GgufArchitecture {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** The class in `architectures` of config.json. */
  readonly className: string;
  /** Published names of the tensors outside the blocks; names without `.weight` and `.bias`. */
  readonly tensors: Readonly<Record<string, string>>;
  /** Published names of a block's tensors: `blk.N.KEY` becomes `LAYERS.N.VALUE`. */
  readonly block: Readonly<Record<string, string>>;
  /** Published names without a suffix of a block's tensors, by their names with the suffix in the file. */
  readonly whole?: Readonly<Record<string, string>>;
  /** The published path of the blocks. Default `model.layers`. */
  readonly layers?: string;
  /** Whether llama.cpp's conversion permutes the rows of q and k, in each head, from the half-split to the interleaved layout. */
  readonly interleavedRope: boolean;
  /** The rotary dimensions of a head: all (the default), as many as `rope.dimension_count` states, or none. */
  readonly rotates?: 'whole' | 'part' | 'none';
  /**
   * Whether the file may hold LongRoPE's divisors of the frequencies, for short and for long texts, as tensors. Default false.
   */
  readonly hasRopeFactors?: boolean;
  /** Undoes other changes of a tensor by the conversion; `part` is the name without the block, such as `attn_norm.weight`. */
  readonly restore?: (part: string, heads: number) => Restore | undefined;
  /** Matrices that the conversion transposes. */
  readonly transposed?: RegExp;
  /** Published names of a block's stacked tensors, whose members were published one by one; `*` stands for the index. */
  readonly stacks?: Readonly<Record<string, string>>;
  /** Names with the suffix of a block's tensors that are only parts of published tensors, which `compose` joins. */
  readonly parts?: readonly string[];
  /** The published tensors made of the `parts` of a block; names begin with `from` in the file and with `published` there. */
  readonly compose?: (inner: GgufCheckpoint, from: string, published: string) => Composed[];
  /** Fields of config.json that are added to those of all architectures, or replace them. */
  readonly config?: (facts: ConfigFacts) => Readonly<Record<string, unknown>>;
}

/** The facts of a file that the fields of config.json are made of. */
export interface ConfigFacts {
  /** A number under the architecture's prefix, as the shortest decimal that is the same f32. */
  readonly number: (key: string) => number | undefined;
  /** A boolean under the architecture's prefix. */
  readonly flag: (key: string) => boolean | undefined;
  /** A boolean for each layer; undefined where the key is missing or not an array. */
  readonly flags: (key: string) => readonly boolean[] | undefined;
  /** Throws a GgufError about a key under the architecture's prefix. */
  readonly fail: (key: string, problem: string) => never;
  /** Whether the file has a tensor of this name, which is llama.cpp's. */
  readonly has: (name: string) => boolean;
  /** The storage type of a tensor; undefined where the file does not have it. */
  readonly typeOf: (name: string) => string | undefined;
  readonly sizes: {
    readonly hiddenSize: number;
    readonly layers: number;
    readonly heads: number;
    readonly headDim: number;
  };
  /** LongRoPE's divisors: `rope_factors_long.weight` and `rope_factors_short.weight`. */
  readonly ropeFactors: { readonly long: Float32Array; readonly short: Float32Array } | undefined;
  /** `rope_scaling` of config.json as most architectures have it; null where there is no scaling. */
  readonly ropeScaling: Json | null;
}

/**
 * The published name of a tensor; for a stack of published tensors, the names of its members with `*` for the index. Undefined
 * where the architecture has no such tensor.
 */
export function publishedName(
  { tensors, block, stacks = {}, whole = {}, layers = 'model.layers' }: GgufArchitecture,
  name: string,
): string | undefined {
  const parts = /^(?:blk\.(0|[1-9][0-9]*)\.)?([a-z_]+)\.(weight|bias)$/.exec(name);
  if (parts === null) return undefined;
  const [, layer, part, suffix] = parts as unknown as [string, string | undefined, string, string];
  const inBlock = `${part}.${suffix}`;
  if (layer !== undefined && Object.hasOwn(whole, inBlock)) return `${layers}.${layer}.${whole[inBlock]}`;
  const table = layer === undefined ? tensors : { ...block, ...stacks };
  if (!Object.hasOwn(table, part)) return undefined;
  return `${layer === undefined ? '' : `${layers}.${layer}.`}${table[part]}.${suffix}`;
}
