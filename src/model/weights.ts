import { VitrineError } from '../tensor/errors.ts';
import type { Shape } from '../tensor/backend.ts';
import type { Linear } from '../tensor/ops/linear.ts';
import { Parameter } from '../tensor/parameter.ts';
import { sameShape, show } from '../tensor/shape.ts';
import type { Arrangement } from './arrangement.ts';

/** Weights that do not fit the model: a tensor is missing, has another shape, or is not one that the model knows. */
export class CheckpointError extends VitrineError {
  override readonly name = 'CheckpointError';
}

/** What a model must know of a checkpoint to be built: which tensors there are, and where they came from. */
export interface StoredShapes {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, { readonly shape: Shape; readonly file: string }>;
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
}

/** A parameter and the stored tensors that fill it, one after the other along the first axis. */
export interface WeightRequest {
  readonly parameter: Parameter;
  readonly parts: readonly WeightPart[];
}

/**
 * A path into a checkpoint. A model's constructor asks it for each weight by name and shape, and so is the list of its
 * weights; they are read afterwards, all at once.
 */
export class Weights {
  readonly #stored: StoredShapes;
  readonly #path: string;
  readonly #requests: WeightRequest[];
  readonly #ignored: RegExp[];

  constructor(stored: StoredShapes, path = '', requests: WeightRequest[] = [], ignored: RegExp[] = []) {
    this.#stored = stored;
    this.#path = path;
    this.#requests = requests;
    this.#ignored = ignored;
  }

  /** The cursor moved down: `weights.at('model.layers.3')`. */
  at(path: string): Weights {
    return path === '' ? this : new Weights(this.#stored, this.#full(path), this.#requests, this.#ignored);
  }

  has(name: string): boolean {
    return this.#stored.tensors.has(this.#full(name));
  }

  /** Stored tensors whose full name matches are not part of the model: buffers, the vision half of a larger one. */
  ignore(pattern: RegExp): void {
    this.#ignored.push(pattern);
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
    const sizes = layers.map(([, size]) => size);
    const outSize = sizes.reduce((sum, size) => sum + size, 0);
    const label = layers.map(([name]) => name).join('+');
    const weights = layers.map(([name, size]) => ({ name: `${name}.weight`, shape: [size, inSize], arrangement }));
    const biases = layers.map(([name, size]) => ({ name: `${name}.bias`, shape: [size], arrangement }));
    const weight = this.parameter(`${label}.weight`, weights, [outSize, inSize]);
    return {
      weight,
      bias: bias ? this.parameter(`${label}.bias`, biases, [outSize], 'f32') : undefined,
      sizes,
      compute: this.#stored.compute(weight.dtype === 'bf16' ? 'bf16' : 'f32'),
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
    const parts = wanted.map((part) => ({ ...part, name: this.#full(part.name) }));
    for (const { name, shape: become, arrangement } of parts)
      this.#check(name, arrangement?.storedShape(become) ?? become);
    const parameter = new Parameter(this.#full(label), shape, dtype ?? this.#stored.matrixDType(parts[0].name));
    this.#requests.push({ parameter, parts });
    return parameter;
  }

  /**
   * All that was asked for.
   *
   * @param ignored Names of stored tensors that no architecture has a use for.
   * @throws CheckpointError that names stored tensors which nobody asked for.
   */
  requests(ignored: readonly RegExp[] = []): readonly WeightRequest[] {
    const useless = [...ignored, ...this.#ignored];
    const asked = new Set(this.#requests.flatMap(({ parts }) => parts.map(({ name }) => name)));
    const unused = [...this.#stored.tensors.keys()].filter(
      (name) => !asked.has(name) && !useless.some((pattern) => pattern.test(name)),
    );
    if (unused.length > 0)
      throw new CheckpointError(
        `${this.#stored.source}: tensors that are not part of this architecture (${unused.length}): ${some(unused)}. ` +
          'Check model_type in config.json.',
      );
    return this.#requests;
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

const some = (names: readonly string[]): string => names.slice(0, 5).join(', ') + (names.length > 5 ? ', …' : '');
