import { WeightError } from '../model/weights/weight-error.ts';
import type { WeightPoint } from '../model/weights/weight-point.ts';
import { type WeightTable, weightTensor } from '../model/weights/weight-table.ts';
import type { CheckedWeight, NoSuchWeight } from '../model/weights/weight-types.ts';
import { CALLBACK, checkArgument, OBJECT, OptionError, show as showValue } from '../options.ts';
import type { Backend } from '../tensor/backend.ts';
import { byteSize, elements } from '../tensor/dtype.ts';
import { floatFormat } from '../tensor/formats/float-formats.ts';
import { denseWeight } from '../tensor/ops/linear.ts';
import { own, scope } from '../tensor/scope.ts';
import { sameShape, show } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Interruption } from './passes.ts';

/** What takes the place of a weight: its numbers, as f32 of its shape. */
export type WeightValue = Tensor | Float32Array;

/**
 * What takes the place of a weight, or a function that makes it of the weight as it is (f32, freed after the call);
 * undefined leaves it.
 */
export type WeightEdit = WeightValue | ((value: Tensor, name: string) => WeightValue | undefined);

/**
 * Edits by the names of weights; they act in the order of their keys.
 *
 * @template Name The names, as far as the compiler knows them: one that is misspelt does not compile.
 */
export type WeightEdits<Name extends string = string> = {
  readonly [Each in Name]: WeightEdit & (Each extends CheckedWeight<Each> ? unknown : NoSuchWeight<Each>);
} & Readonly<Record<string, WeightEdit>>;

/** Edits that are open, by what ends each. */
type OpenScope = readonly (() => void)[];

/** The scopes of `withWeights` that are open. */
export class WeightScopes {
  readonly #table: () => WeightTable;
  readonly #backend: Backend;
  readonly #open: OpenScope[] = [];

  /** @param table Gives the weights, or throws where the model was disposed of. */
  constructor(table: () => WeightTable, backend: Backend) {
    this.#table = table;
    this.#backend = backend;
  }

  /**
   * Ends work that pauses when the caller's signal says so, or when the weights are others than at its beginning.
   *
   * @param call Names the work in the error.
   */
  interruption(call: string, signal: AbortSignal | undefined): Interruption {
    const begun = this.#open.at(-1);
    return {
      throwIfAborted: () => {
        signal?.throwIfAborted();
        if (this.#open.at(-1) !== begun)
          throw new WeightError(
            `${call}: withWeights changed the weights on the way, so that a text would be of mixed weights. Begin and end it ` +
              'on one side of withWeights.',
          );
      },
    };
  }

  /** See `Model.withWeights`. */
  run<R>(edits: WeightEdits, body: () => R): R {
    checkArgument('withWeights', 'the edits', edits, OBJECT);
    checkArgument('withWeights', 'the body', body, CALLBACK);
    const edited = this.#begin(edits);
    let result: R;
    try {
      result = body();
    } catch (error) {
      this.#end(edited);
      throw error;
    }
    if (isPromise(result))
      return Promise.resolve(result).finally(() => {
        this.#end(edited);
      }) as R;
    this.#end(edited);
    if (isIterator(result))
      throw new OptionError(
        'withWeights: expected a body that does its work, got an iterator, whose work would be done without the edits. ' +
          'Iterate in the body.',
      );
    return result;
  }

  #begin(edits: WeightEdits): OpenScope {
    const ends: (() => void)[] = [];
    try {
      for (const [name, edit] of Object.entries<WeightEdit>(edits)) {
        const point = this.#table().find(name);
        const numbers = editedNumbers(point, edit);
        if (numbers === undefined) continue;
        ends.unshift(point.parameter.standIn.put(held(point, numbers, this.#backend)));
      }
    } catch (error) {
      for (const end of ends) end();
      throw error;
    }
    this.#open.push(ends);
    return ends;
  }

  /** Scopes end in the reverse order of their beginning; where they do not, all that are affected end, and fail. */
  #end(ended: OpenScope): void {
    const at = this.#open.indexOf(ended);
    const last = at === this.#open.length - 1;
    if (at >= 0) for (const edits of this.#open.splice(at).toReversed()) for (const end of edits) end();
    if (at < 0 || !last)
      throw new WeightError(
        'withWeights: two scopes overlapped, and neither was inside the other, so that results are of mixed weights. ' +
          'Await one before the next begins.',
      );
  }
}

/** All numbers of the weight's parameter after an edit, or undefined where it changes none. */
function editedNumbers(point: WeightPoint, edit: WeightEdit): Float32Array | undefined {
  const { name, parameter, view } = point;
  return scope('', () => {
    const before = weightTensor(point);
    const given = typeof edit === 'function' ? edit(before, name) : edit;
    if (given === undefined || given === before) return undefined;
    const numbers = numbersOf(name, before, given);
    const old = before.data();
    if (numbers.every((x, i) => Object.is(x, old[i]))) return undefined;
    return view.write(denseWeight({ weight: parameter }), Tensor.from(before.backend, numbers, before.shape)).data();
  });
}

/** @throws {WeightError} where they do not fit in the place of `weight`. */
function numbersOf(name: string, { shape, dtype }: Tensor, given: WeightValue): Float32Array {
  const wanted = `withWeights: ${name}: expected f32 ${show(shape)}, as a tensor or its numbers`;
  if (given instanceof Float32Array) {
    if (given.length === elements(shape)) return given;
    throw new WeightError(`${wanted}, got ${given.length} numbers.`);
  }
  if (!(given instanceof Tensor)) {
    const got = isPromise(given) ? 'a promise (edits are synchronous)' : showValue(given);
    throw new WeightError(`${wanted}, or a function that gives them, got ${got}.`);
  }
  if (given.disposed) throw new WeightError(`${wanted}, got a tensor that was freed.`);
  if (given.dtype !== dtype || !sameShape(given.shape, shape))
    throw new WeightError(`${wanted}, got ${given.dtype} ${show(given.shape)}.`);
  return given.data();
}

/** The numbers in memory, as those of the parameter are: its kernels then compute with them. */
function held({ parameter }: WeightPoint, numbers: Float32Array, backend: Backend): Tensor {
  const { shape } = parameter;
  const dtype = 'dtype' in parameter && parameter.dtype === 'bf16' && areBf16(numbers) ? 'bf16' : 'f32';
  const bytes = backend.allocate(numbers.length * byteSize(dtype));
  floatFormat(dtype).encode(numbers, bytes);
  return scope('', () => own(new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype)));
}

/** Whether bf16 holds each of the numbers: the lower halves of their words are 0. */
const areBf16 = ({ buffer, byteOffset, length }: Float32Array): boolean =>
  new Uint32Array(buffer, byteOffset, length).every((word) => (word & 0xffff) === 0);

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';

const isIterator = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'next' in value && typeof value.next === 'function';
