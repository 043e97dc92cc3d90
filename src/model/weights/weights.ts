import type { Linear } from '../../tensor/ops/linear.ts';
import { blockRows, type PackedFormat } from '../../tensor/formats/packed-format.ts';
import { fp8Blocks } from '../../tensor/formats/fp8-blocks.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import { Parameter } from '../../tensor/parameter.ts';
import { type Shape, sameShape, show } from '../../tensor/shape.ts';
import type { Arrangement } from './arrangement.ts';
import { CheckpointError } from './checkpoint-error.ts';
import type { LayerParts, StoredShapes, WeightPart, WeightRequest } from './weight-request.ts';
import { short, sortUnused, type Trunk } from './unused-tensors.ts';

/** A regular expression, or another test of a name. */
export type NamePattern = Pick<RegExp, 'test'>;

/** How a stored tensor becomes a parameter. */
export interface StoredOptions {
  /** Default: it is read straight into its place. */
  readonly arrangement?: Arrangement | undefined;
}

/**
 * In what a matrix is held in memory: as it is stored; in numbers, for what reads it otherwise than a product does; or in
 * f32 and multiplied in it, for a router.
 */
export type Hold = 'stored' | 'numbers' | 'f32';

/** How the matrix of a linear layer is held. */
export interface HoldOptions {
  /** Default `stored`. */
  readonly hold?: Hold | undefined;
}

/** How a linear layer is stored and held, and whether it has a bias. */
export interface LinearOptions extends StoredOptions, HoldOptions {
  /** Whether there is a bias. Default false. */
  readonly bias?: boolean;
  /** The rows of each output, where several layers are stacked in one stored tensor. Default: the rows of each layer. */
  readonly sizes?: readonly number[];
}

/** The state that all paths into one checkpoint share. */
interface Shared {
  readonly requests: WeightRequest[];
  readonly ignored: NamePattern[];
  trunk: Trunk | undefined;
}

/**
 * A path into a checkpoint. A model's constructor asks it for each weight by name and shape, and so is the list of its
 * weights. They are read afterwards, all at once.
 */
export class Weights {
  readonly #stored: StoredShapes;
  readonly #path: string;
  readonly #shared: Shared;

  constructor(stored: StoredShapes, path = '', shared: Shared = { requests: [], ignored: [], trunk: undefined }) {
    this.#stored = stored;
    this.#path = path;
    this.#shared = shared;
  }

  /** The cursor moved down: `weights.at('model.layers.3')`. */
  at(path: string): Weights {
    return path === '' ? this : new Weights(this.#stored, this.#full(path), this.#shared);
  }

  /** @param shape Only if it is of this shape. */
  has(name: string, shape?: Shape): boolean {
    const stored = this.#stored.tensors.get(this.#full(name));
    return stored !== undefined && !stored.unlisted && (shape === undefined || sameShape(stored.shape, shape));
  }

  /** The paths under which there is a tensor of this name. */
  pathsOf(name: string): string[] {
    return [...this.#stored.tensors.keys()].flatMap((stored) =>
      stored === name ? '' : stored.endsWith(`.${name}`) ? stored.slice(0, -name.length - 1) : [],
    );
  }

  /** Stored tensors whose full name matches are not part of the model: buffers. */
  ignore(pattern: NamePattern): void {
    this.#shared.ignored.push(pattern);
  }

  /** Says where the model is in the checkpoint: by that, tensors that were not asked for are told apart. */
  describeTrunk(trunk: Trunk): void {
    this.#shared.trunk = trunk;
  }

  /** A vector of `length` numbers, f32: the gain of a norm, a bias. */
  vector(name: string, length: number, { arrangement }: StoredOptions = {}): Parameter {
    return this.#numbers(name, [this.#part({ name, shape: [length], arrangement })], [length], 'f32');
  }

  /** A `[rows, columns]` matrix in its stored precision, never in codes: an embedding. */
  matrix(name: string, shape: Shape, { arrangement }: StoredOptions = {}): Parameter {
    return this.#numbers(name, [this.#part({ name, shape, arrangement })], shape);
  }

  /**
   * A linear layer, or several that read the same input, joined into one product in the order given: for each its matrix
   * `name.weight` `[rows, columns]` and, if asked for, `name.bias` `[rows]`.
   *
   * @param rows By the name of each layer: `{ q_proj: H * d, k_proj: K * d, v_proj: K * d }`.
   * @param columns The width of what they read.
   */
  linear(rows: Readonly<Record<string, number>>, columns: number, options: LinearOptions = {}): Linear {
    const { bias = false, arrangement, hold, sizes } = options;
    const layers = Object.entries(rows);
    const parts = layers.map(([name, count]) => ({
      weight: { name: `${name}.weight`, shape: [count, columns], arrangement },
      bias: bias ? { name: `${name}.bias`, shape: [count], arrangement } : undefined,
    }));
    const layer = this.layer(layers.map(([name]) => name).join('+'), parts, { hold });
    return sizes ? { ...layer, sizes } : layer;
  }

  /**
   * A linear layer of stored tensors that `linear` does not know: other names, one of a stack, codes with factors.
   *
   * @param label Its name under this path, for messages.
   */
  layer(label: string, parts: readonly LayerParts[], { hold = 'stored' }: HoldOptions = {}): Linear {
    const matrices = parts.map((part) => part.weight);
    const weight = this.#matrix(`${label}.weight`, matrices, hold);
    const biases = parts.flatMap(({ bias }) => (bias ? this.#part(bias) : []));
    return {
      weight,
      bias: biases.length > 0 ? this.#numbers(`${label}.bias`, biases, [weight.shape[0]], 'f32') : undefined,
      sizes: matrices.map(({ shape }) => shape[0]),
      compute: this.#compute(weight),
      isExact: hold === 'f32',
    };
  }

  /** A linear layer on a matrix that another part owns: the head tied to the embedding. Each is edited apart. */
  tied(weight: Parameter): Linear {
    return { weight: weight.twin(), bias: undefined, sizes: [weight.shape[0]], compute: this.#compute(weight) };
  }

  #compute(weight: Parameter | PackedParameter): 'f32' | 'bf16' {
    return this.#stored.compute(weight instanceof Parameter && weight.dtype === 'f32' ? 'f32' : 'bf16');
  }

  /** A parameter held in numbers, of checked parts one after the other along its first axis. */
  #numbers(label: string, parts: readonly WeightPart[], shape: Shape, dtype?: 'f32'): Parameter {
    const parameter = new Parameter(this.#full(label), shape, dtype ?? this.#stored.matrixDType(parts[0].name));
    this.#shared.requests.push({ parameter, parts });
    return parameter;
  }

  /** A matrix: in codes and factors where its parts are stored so and may stay so, or in numbers. */
  #matrix(label: string, wanted: readonly WeightPart[], hold: Hold): Parameter | PackedParameter {
    const parts = wanted.map((part) => this.#part(part));
    const [{ packed, shape, name }] = parts;
    const alike = packed !== undefined && parts.every((part) => part.packed?.format === packed.format);
    if (hold !== 'stored' || !alike || !this.#stored.keepsPacked) {
      const inF32 =
        hold === 'f32' || (hold === 'numbers' && this.#stored.compute(this.#stored.matrixDType(name)) === 'f32');
      const total = parts.reduce((sum, part) => sum + part.shape[0], 0);
      return this.#numbers(label, parts, [total, shape[1]], inF32 ? 'f32' : undefined);
    }
    const blockRow = arrangedBlockRows(packed.format, parts);
    const parameter = new PackedParameter(this.#full(label), { format: packed.format, columns: shape[1], blockRow });
    this.#shared.requests.push({ parameter, parts });
    return parameter;
  }

  /** The part by its full name, with its factors if its numbers are 8-bit codes; checked against what is stored. */
  #part(part: WeightPart): WeightPart {
    const name = this.#full(part.name);
    const isFp8 = this.#stored.fp8Blocks && this.#stored.tensors.get(name)?.format === 'F8_E4M3';
    const packed = part.packed
      ? { ...part.packed, scales: this.#full(part.packed.scales) }
      : isFp8
        ? { format: fp8Blocks, scales: `${name}_scale_inv` }
        : undefined;
    const numbers = part.arrangement?.storedShape(part.shape) ?? part.shape;
    const stacked = (shape: Shape): Shape => (part.stack ? [part.stack.count, ...shape] : shape);
    if (packed === undefined) this.#check(name, stacked(numbers));
    else {
      const { codes, scales } = packed.format.published(numbers[0], numbers[1]);
      this.#check(name, stacked(codes));
      this.#check(packed.scales, stacked(scales));
    }
    return { ...part, name, packed };
  }

  /**
   * All weights that were asked for, and notes for the user on the other tensors of the checkpoint.
   *
   * @param ignored Names of stored tensors that no architecture has a use for.
   * @throws {CheckpointError} that names stored tensors which were not asked for and which would change the result.
   */
  finish(ignored: readonly RegExp[] = []): {
    readonly requests: readonly WeightRequest[];
    readonly notes: readonly string[];
  } {
    const { requests, ignored: own, trunk } = this.#shared;
    const useless = [...ignored, ...own];
    const names = ({ name, packed }: WeightPart): string[] => (packed ? [name, packed.scales] : [name]);
    const asked = new Set(requests.flatMap(({ parts }) => parts.flatMap(names)));
    const rest = [...this.#stored.tensors].filter(
      ([name, { unlisted }]) => !asked.has(name) && !unlisted && !useless.some((pattern) => pattern.test(name)),
    );
    const { unknown, notes } = sortUnused(
      rest.map(([name]) => name),
      trunk,
    );
    if (unknown.length > 0)
      throw new CheckpointError(
        `${this.#stored.source}: tensors that are not part of this architecture (${unknown.length}): ${some(unknown)}. ` +
          'Check model_type in config.json.',
      );
    return { requests, notes };
  }

  #check(name: string, expected: Shape): void {
    const stored = this.#stored.tensors.get(name);
    if (stored === undefined)
      throw new CheckpointError(
        `${name}: expected ${show(expected)}, but ${this.#stored.source} has no tensor of this name. ` +
          'The file is incomplete, or model_type in config.json is wrong.',
      );
    if (!sameShape(stored.shape, expected))
      throw new CheckpointError(
        `${name}: expected ${show(expected)}, ${stored.file} has ${show(stored.shape)}. Check the sizes in config.json.`,
      );
  }

  #full(name: string): string {
    return this.#path ? `${this.#path}.${name}` : name;
  }
}

/** The row of blocks of each row. Blocks start again in each part, and the rows of a part may be in another order. */
function arrangedBlockRows(format: PackedFormat, parts: readonly WeightPart[]): Int32Array {
  const all = new Int32Array(parts.reduce((sum, { shape }) => sum + shape[0], 0));
  let [at, firstBlock] = [0, 0];
  for (const { shape, arrangement } of parts) {
    const [storedRows] = arrangement?.storedShape(shape) ?? shape;
    const first = firstBlock;
    const stored = blockRows(format, storedRows).map((row) => row + first);
    const own = all.subarray(at, at + shape[0]);
    if (arrangement === undefined) own.set(stored);
    else arrangement.arrange(bytesOf(stored), bytesOf(own), [shape[0]], Int32Array.BYTES_PER_ELEMENT);
    at += shape[0];
    firstBlock += Math.ceil(storedRows / format.blockRows);
  }
  return all;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const some = (names: readonly string[]): string =>
  names.slice(0, 5).map(short).join(', ') + (names.length > 5 ? ', …' : '');
