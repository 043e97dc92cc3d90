import { VitrineError } from '../tensor/errors.ts';
import type { Shape } from '../tensor/backend.ts';
import type { Linear } from '../tensor/ops/linear.ts';
import { Parameter } from '../tensor/parameter.ts';
import { sameShape, show } from '../tensor/shape.ts';

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

/** A parameter and the stored tensors that fill it, one after the other along the first axis. */
export interface WeightRequest {
  readonly parameter: Parameter;
  readonly parts: readonly { readonly name: string; readonly shape: Shape }[];
}

/**
 * A path into a checkpoint. A model's constructor asks it for each weight by name and shape, and so is the list of its
 * weights; they are read afterwards, all at once.
 */
export class Weights {
  readonly #stored: StoredShapes;
  readonly #path: string;
  readonly #requests: WeightRequest[];

  constructor(stored: StoredShapes, path = '', requests: WeightRequest[] = []) {
    this.#stored = stored;
    this.#path = path;
    this.#requests = requests;
  }

  /** The cursor moved down: `weights.at('model.layers.3')`. */
  at(path: string): Weights {
    return new Weights(this.#stored, this.#full(path), this.#requests);
  }

  has(name: string): boolean {
    return this.#stored.tensors.has(this.#full(name));
  }

  /** A vector, f32: the gain of a norm, a bias. */
  vector(name: string, length: number): Parameter {
    return this.#request(this.#full(name), [[name, [length]]], [length], 'f32');
  }

  /** A `[rows, columns]` matrix in its stored precision. */
  matrix(name: string, rows: number, columns: number): Parameter {
    const full = this.#full(name);
    return this.#request(full, [[name, [rows, columns]]], [rows, columns]);
  }

  /** A linear layer: `name.weight` `[out, in]` and, if asked for, `name.bias` `[out]`. */
  linear(name: string, outSize: number, inSize: number, bias = false): Linear {
    return this.joined([[name, outSize]], inSize, bias);
  }

  /** Linear layers that read the same input, joined into one product in the order given. */
  joined(layers: readonly (readonly [name: string, outSize: number])[], inSize: number, bias = false): Linear {
    const sizes = layers.map(([, size]) => size);
    const outSize = sizes.reduce((sum, size) => sum + size, 0);
    const label = this.#full(layers.map(([name]) => name).join('+'));
    const weights = layers.map(([name, size]) => [`${name}.weight`, [size, inSize]] as const);
    const biases = layers.map(([name, size]) => [`${name}.bias`, [size]] as const);
    const weight = this.#request(`${label}.weight`, weights, [outSize, inSize]);
    return {
      weight,
      bias: bias ? this.#request(`${label}.bias`, biases, [outSize], 'f32') : undefined,
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
   * All that was asked for.
   *
   * @param ignored Names of stored tensors that the architecture has no use for.
   * @throws CheckpointError that names stored tensors which nobody asked for.
   */
  requests(ignored: readonly RegExp[] = []): readonly WeightRequest[] {
    const asked = new Set(this.#requests.flatMap(({ parts }) => parts.map(({ name }) => name)));
    const unused = [...this.#stored.tensors.keys()].filter(
      (name) => !asked.has(name) && !ignored.some((pattern) => pattern.test(name)),
    );
    if (unused.length > 0)
      throw new CheckpointError(
        `${this.#stored.source}: tensors that are not part of this architecture (${unused.length}): ${some(unused)}. ` +
          'Check model_type in config.json.',
      );
    return this.#requests;
  }

  /** @param dtype Default: what the first of the stored tensors is to be held in. */
  #request(label: string, wanted: readonly (readonly [string, Shape])[], shape: Shape, dtype?: 'f32'): Parameter {
    const parts = wanted.map(([name, expected]) => {
      const full = this.#full(name);
      this.#check(full, expected);
      return { name: full, shape: expected };
    });
    const parameter = new Parameter(label, shape, dtype ?? this.#stored.matrixDType(parts[0].name));
    this.#requests.push({ parameter, parts });
    return parameter;
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
