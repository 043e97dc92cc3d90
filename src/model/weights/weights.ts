import { VitrineError } from '../../errors.ts';
import type { Shape } from '../../tensor/backend.ts';
import type { Linear } from '../../tensor/ops/linear.ts';
import { blockRows, type PackedFormat } from '../../tensor/formats/packed-format.ts';
import { fp8Blocks } from '../../tensor/formats/fp8-blocks.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import { Parameter } from '../../tensor/parameter.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import { type Arrangement, rows } from './arrangement.ts';
import { short, sortUnused, type Trunk } from './unused-tensors.ts';

/** Weights that do not fit the model: a tensor is missing, has another shape, or is not one that the model knows. */
export class CheckpointError extends VitrineError {
  override readonly name = 'CheckpointError';
}

interface StoredShape {
  readonly shape: Shape;
  readonly file: string;
  readonly format: string;
  /** An index leaves it out: it counts only where it is asked for. */
  readonly unlisted?: boolean;
}

/** What a model must know of a checkpoint to be built: which tensors there are, and where they came from. */
export interface StoredShapes {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, StoredShape>;
  /** Whether matrices that the file has in codes and factors stay so in memory; otherwise `matrixDType` says as what. */
  readonly keepsPacked: boolean;
  /** Whether a matrix of 8-bit floats has a factor for each of its blocks, as config.json says. */
  readonly fp8Blocks: boolean;
  /** The dtype in which the model is to hold a matrix; vectors are always f32. */
  matrixDType(name: string): 'f32' | 'bf16';
  /** The dtype of operands inside products with a matrix of `dtype`. */
  compute(dtype: 'f32' | 'bf16'): 'f32' | 'bf16';
}

/** A stored tensor, whole or arranged otherwise, as a run of rows of a parameter. */
export interface WeightPart {
  readonly name: string;
  /** As a part of the parameter; the file has the same, or what `arrangement` says. */
  readonly shape: Shape;
  /** Absent: it is read straight into its place. */
  readonly arrangement?: Arrangement | undefined;
  /** The stored tensor is a stack of `count` of them along a first axis; this is number `index`. */
  readonly stack?: { readonly index: number; readonly count: number } | undefined;
  /** What is stored are the codes of a matrix; its factors are in another tensor, stacked like the codes. */
  readonly packed?: { readonly format: PackedFormat; readonly scales: string } | undefined;
}

/** A parameter and the stored tensors that fill it, one after the other along the first axis. */
export interface WeightRequest {
  readonly parameter: Parameter | PackedParameter;
  readonly parts: readonly WeightPart[];
}

/** A regular expression, or what else tests a name. */
export type NamePattern = Pick<RegExp, 'test'>;

/** One of several layers that are joined: the tensors of its weight and, if it has one, of its bias. */
export interface LayerParts {
  readonly weight: WeightPart;
  readonly bias?: WeightPart | undefined;
}

/** What all paths into one checkpoint have in common. */
interface Shared {
  readonly requests: WeightRequest[];
  readonly ignored: NamePattern[];
  trunk: Trunk | undefined;
}

/**
 * A path into a checkpoint. A model's constructor asks it for each weight by name and shape, and so is the list of its
 * weights; they are read afterwards, all at once.
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

  /** Says where the model lies in the checkpoint, by which tensors that nobody asks for are told apart. */
  describeTrunk(trunk: Trunk): void {
    this.#shared.trunk = trunk;
  }

  /** A vector, f32: the gain of a norm, a bias. */
  vector(name: string, length: number, arrangement?: Arrangement): Parameter {
    return this.parameter(name, [{ name, shape: [length], arrangement }], [length], 'f32');
  }

  /** A `[rows, columns]` matrix in its stored precision. */
  matrix(name: string, rows: number, columns: number, arrangement?: Arrangement): Parameter {
    return this.parameter(name, [{ name, shape: [rows, columns], arrangement }], [rows, columns]);
  }

  /** A linear layer: `name.weight` `[out, in]` and, if asked for, `name.bias` `[out]`. */
  linear(name: string, outSize: number, inSize: number, bias = false, arrangement?: Arrangement): Linear {
    return this.fused(name, [outSize], inSize, bias, arrangement);
  }

  /** Linear layers that read the same input and are one in the file: `sizes` rows of each, one after the other. */
  fused(name: string, sizes: readonly number[], inSize: number, bias = false, arrangement?: Arrangement): Linear {
    const outSize = sizes.reduce((sum, size) => sum + size, 0);
    return { ...this.joined([[name, outSize]], inSize, bias, arrangement), sizes };
  }

  /** Linear layers that read the same input, joined into one product in the order given. */
  joined(
    layers: readonly (readonly [name: string, outSize: number])[],
    inSize: number,
    bias = false,
    arrangement?: Arrangement,
  ): Linear {
    const label = layers.map(([name]) => name).join('+');
    const parts = layers.map(([name, size]) => ({
      weight: { name: `${name}.weight`, shape: [size, inSize], arrangement },
      bias: bias ? { name: `${name}.bias`, shape: [size], arrangement } : undefined,
    }));
    return this.layer(label, parts);
  }

  /**
   * A linear layer made of stored tensors that `joined` does not know: other names, members of a stack, packed ones.
   *
   * @param label Its name under this path, for messages.
   */
  layer(label: string, parts: readonly LayerParts[]): Linear {
    const sizes = parts.map(({ weight }) => weight.shape[0]);
    const weight = this.#matrix(`${label}.weight`, parts.map((part) => part.weight)); // prettier-ignore
    const biases = parts.flatMap(({ bias }) => bias ?? []);
    const outSize = [weight.shape[0]];
    return {
      weight,
      bias: biases.length > 0 ? this.parameter(`${label}.bias`, biases, outSize, 'f32') : undefined,
      sizes,
      compute: this.#stored.compute(weight instanceof Parameter && weight.dtype === 'f32' ? 'f32' : 'bf16'),
    };
  }

  /**
   * Some rows of the linear layer `name`, which has `storedRows`: in numbers, whatever the file has, and in the dtype of
   * their products.
   */
  rowsOf(name: string, order: Int32Array, storedRows: number, inSize: number): Linear {
    const part = { name: `${name}.weight`, shape: [order.length, inSize], arrangement: rows(order, storedRows) };
    const compute = this.#stored.compute(this.#stored.matrixDType(this.#full(part.name)));
    const weight = this.parameter(part.name, [part], part.shape, compute === 'f32' ? compute : undefined);
    return { weight, bias: undefined, sizes: [order.length], compute };
  }

  /** The gate of a router, `name.weight` `[out, in]`, held in f32 and multiplied in it. */
  router(name: string, outSize: number, inSize: number, bias = false): Linear {
    const weight = { name: `${name}.weight`, shape: [outSize, inSize] };
    return {
      weight: this.parameter(weight.name, [weight], weight.shape, 'f32'),
      bias: bias ? this.vector(`${name}.bias`, outSize) : undefined,
      sizes: [outSize],
      compute: 'f32',
    };
  }

  /** A linear layer on a matrix that another part owns: the head tied to the embedding. */
  tied(weight: Parameter): Linear {
    const compute = this.#stored.compute(weight.dtype === 'bf16' ? 'bf16' : 'f32');
    return { weight, bias: undefined, sizes: [weight.shape[0]], compute };
  }

  /**
   * A parameter made of stored tensors, one after the other along its first axis: what the methods above are made of.
   *
   * @param label Its name under this path, for messages.
   * @param dtype Default: what the first of the stored tensors is to be held in.
   */
  parameter(label: string, wanted: readonly WeightPart[], shape: Shape, dtype?: 'f32'): Parameter {
    const parts = wanted.map((part) => this.#part(part));
    const parameter = new Parameter(this.#full(label), shape, dtype ?? this.#stored.matrixDType(parts[0].name));
    this.#shared.requests.push({ parameter, parts });
    return parameter;
  }

  /** A matrix as it is stored: in codes and factors, if its parts are and may stay so, or in numbers. */
  #matrix(label: string, wanted: readonly WeightPart[]): Parameter | PackedParameter {
    const parts = wanted.map((part) => this.#part(part));
    const [{ packed, shape }] = parts;
    const alike = packed !== undefined && parts.every((part) => part.packed?.format === packed.format);
    if (!alike || !this.#stored.keepsPacked)
      return this.parameter(label, wanted, [parts.reduce((sum, part) => sum + part.shape[0], 0), shape[1]]);
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
   * All that was asked for, and what a user may want to know of the rest.
   *
   * @param ignored Names of stored tensors that no architecture has a use for.
   * @throws CheckpointError that names stored tensors which nobody asked for and which would change the result.
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

/** The row of blocks of each row, where blocks begin anew in each part and the rows of a part may be in another order. */
function arrangedBlockRows(format: PackedFormat, parts: readonly WeightPart[]): Int32Array {
  let first = 0;
  const rows = parts.map(({ shape, arrangement }) => {
    const [storedRows] = arrangement?.storedShape(shape) ?? shape;
    const stored = blockRows(format, storedRows).map((row) => row + first);
    first += Math.ceil(storedRows / format.blockRows);
    if (arrangement === undefined) return stored;
    const arranged = new Int32Array(shape[0]);
    arrangement.arrange(new Uint8Array(stored.buffer), new Uint8Array(arranged.buffer), [shape[0]], 4);
    return arranged;
  });
  return Int32Array.from(rows.flatMap((part) => [...part]));
}

const some = (names: readonly string[]): string =>
  names.slice(0, 5).map(short).join(', ') + (names.length > 5 ? ', …' : '');
