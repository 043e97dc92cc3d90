import { show as showValue } from '../options.ts';
import type { HostArray } from '../tensor/backend.ts';
import { elements } from '../tensor/dtype.ts';
import { type Observer, type PassInfo, passInfo, type RowPositions } from '../tensor/tap.ts';
import { sameShape, show } from '../tensor/shape.ts';
import type { Hook } from '../tensor/hook-point.ts';
import { Tensor } from '../tensor/tensor.ts';
import { HookError } from './hook-error.ts';
import { matchHooks } from './match.ts';
import type { HookRegistry } from './hook-registry.ts';

/** Where an edit is asked for a change. */
export interface EditContext {
  /** The full name of the hook, also where a glob asked for it. */
  readonly name: string;
  /** The index of the block; undefined outside of blocks. */
  readonly layer: number | undefined;
  /** The absolute position of each row of the value; for hooks that have no row for each position, those of the pass. */
  readonly positions: Int32Array;
  /** The number of the forward pass within the call: 0 the prompt, then one for each token that was generated. */
  readonly pass: number;
}

/**
 * Changes an activation: gives back what replaces it (a tensor, or its numbers), or nothing to leave it.
 * Tensors that it makes are freed with the step; one that it gives back from elsewhere stays its owner's.
 */
export type Edit = (value: Tensor, at: EditContext) => Tensor | Float32Array | Int32Array | undefined;

/** Edits activations while a forward pass runs. Where an edit gives back equal numbers, the pass goes its usual way. */
export class Editor implements Observer {
  readonly #edits: ReadonlyMap<string, { readonly hook: Hook; readonly changes: readonly Edit[] }>;
  #pass: PassInfo = passInfo(0, []);

  /**
   * @param edit What to do, by name or glob; edits of one activation run in the order of their keys.
   * @param hooks Those that the model has.
   * @throws {HookError} for a name that is not among them, and for a hook whose edit could change nothing: it names the one
   *   to edit instead.
   */
  constructor(edit: Readonly<Record<string, Edit>>, hooks: HookRegistry) {
    const edits = new Map<string, { hook: Hook; changes: Edit[] }>();
    for (const [asked, change] of Object.entries(edit)) {
      if (typeof change !== 'function')
        throw new HookError(`edit of ${asked}: expected a function of the activation, got ${typeof change}.`);
      for (const name of matchHooks(asked, [...hooks.keys()]).flatMap((group) => group.names)) {
        const hook = hooks.get(name)!;
        expectEditable(hook, asked);
        edits.set(name, { hook, changes: [...(edits.get(name)?.changes ?? []), change] });
      }
    }
    this.#edits = edits;
  }

  /** Whether an edit acts in forward passes, and not only when a token is chosen. */
  get actsInPasses(): boolean {
    return [...this.#edits.keys()].some((name) => !name.startsWith('sampler.'));
  }

  wants(name: string): boolean {
    return this.#edits.has(name);
  }

  startPass(pass: PassInfo): void {
    this.#pass = pass;
  }

  visit(name: string, value: Tensor, sequence?: number): Tensor | undefined {
    const edit = this.#edits.get(name);
    if (edit === undefined || elements(value.shape) === 0) return undefined; // An expert that no row chose has no rows.
    const { hook, changes } = edit;
    const { index, sequences } = this.#pass;
    const rows = sequence === undefined ? this.#pass : sequences[sequence];
    const context = { name, layer: hook.layer, positions: positionsOf(hook, value, rows), pass: index };
    let used = value;
    for (const change of changes) used = replacement(hook, used, change(used, context));
    return used === value ? undefined : used;
  }
}

/** The positions of a value's rows: those of the logits where it is computed for them alone. */
function positionsOf({ axes }: Hook, value: Tensor, { positions, logitPositions }: RowPositions): Int32Array {
  const letters = axes.split(' ');
  if (letters[0] === 'l' || letters[0] === '1') return logitPositions;
  const axis = letters.indexOf('p');
  // Sequences that enter the pass at a later layer come behind those that are there.
  return axis < 0 ? positions : positions.subarray(0, value.shape[axis]);
}

/** The full name of another hook of the same block. */
const besides = ({ layer }: Hook, name: string): string => (layer === undefined ? name : `blocks.${layer}.${name}`);

/**
 * Refuses a hook whose edit could change nothing.
 *
 * @param what What was asked for there.
 * @throws {HookError} that names the hooks to ask at instead.
 */
export function expectEditable(hook: Hook, asked: string, what: 'edit' | 'gradient' = 'edit'): void {
  const { readOnly } = hook;
  if (readOnly === undefined) return;
  const instead = readOnly.instead.map((name) => besides(hook, name)).join(' or ');
  const glob = asked === hook.name ? '' : `, which "${asked}" takes in`;
  throw new HookError(
    `${what} of ${hook.name}${glob}: it is computed only for those who look, so that an edit would change nothing. ` +
      `${what === 'edit' ? 'Edit' : 'Take'} ${instead} instead${readOnly.or ? `, or ${readOnly.or}` : ''}.`,
  );
}

/** The edit's result as a tensor like `value`; `value` itself where the numbers are the same. */
function replacement(hook: Hook, value: Tensor, given: ReturnType<Edit>): Tensor {
  if (given === undefined || given === value) return value;
  const numbers = numbersOf(hook, value, given);
  const before = value.integers();
  if (sameBits(before, numbers)) return value;
  if (value.dtype === 'i32') expectIds(hook, numbers);
  expectZeros(hook, before, numbers);
  // A new handle on the same numbers: the pass frees it, and the caller's tensor stays.
  if (given instanceof Tensor && given.dtype === value.dtype) return given.reshape(value.shape);
  return Tensor.from(value.backend, numbers, value.shape);
}

/** @throws {HookError} where they do not fit in the place of `value`. */
function numbersOf({ name }: Hook, value: Tensor, given: NonNullable<ReturnType<Edit>>): HostArray {
  const wanted = `expected ${value.dtype} ${show(value.shape)} in return`;
  if (!(given instanceof Tensor || given instanceof Float32Array || given instanceof Int32Array))
    throw new HookError(`edit of ${name}: ${wanted}, as a tensor or its numbers, got ${kindOf(given)}.`);
  const shape = given instanceof Tensor ? given.shape : [given.length];
  const dtype = given instanceof Tensor ? given.dtype : given instanceof Int32Array ? 'i32' : 'f32';
  const fits = given instanceof Tensor ? sameShape(shape, value.shape) : given.length === elements(value.shape);
  // Ids that went through arithmetic come as floats.
  if (!fits || !(dtype === value.dtype || (value.dtype === 'i32' && dtype === 'f32')))
    throw new HookError(`edit of ${name}: ${wanted}, got ${dtype} ${show(shape)}.`);
  if (!(given instanceof Tensor)) return whole(given, value);
  if (given.disposed) throw new HookError(`edit of ${name}: ${wanted}, got a tensor that was freed.`);
  if (given.backend !== value.backend)
    throw new HookError(`edit of ${name}: the tensor lies in another backend. Give back its numbers: \`.data()\`.`);
  return whole(given.integers(), value);
}

/** As integers, where that is what they stand for and loses nothing. */
const whole = (numbers: HostArray, { dtype }: Tensor): HostArray =>
  dtype === 'i32' && numbers.every((x) => x === Math.trunc(x) && Math.abs(x) < 2 ** 31)
    ? Int32Array.from(numbers)
    : numbers;

function expectIds({ name, idsBelow }: Hook, numbers: HostArray): void {
  const most = idsBelow ?? 2 ** 31;
  const bad = numbers.findIndex((x) => !(Number.isInteger(x) && x >= 0 && x < most));
  if (bad >= 0)
    throw new HookError(
      `edit of ${name}: expected whole numbers from 0 to ${most - 1}, got ${numbers[bad]} (number ${bad}).`,
    );
}

function expectZeros(hook: Hook, before: HostArray, numbers: HostArray): void {
  const { zerosBy } = hook;
  if (zerosBy === undefined) return;
  const bad = numbers.findIndex((x, i) => before[i] === 0 && x !== 0);
  if (bad >= 0)
    throw new HookError(
      `edit of ${hook.name}: expected 0 where it was 0, got ${numbers[bad]} (number ${bad}). ` +
        `To choose otherwise, edit ${zerosBy.map((name) => besides(hook, name)).join(' or ')}.`,
    );
}

function sameBits(a: HostArray, b: HostArray): boolean {
  if (a.constructor !== b.constructor) return false;
  const [x, y] = [a, b].map(
    ({ buffer, byteOffset, byteLength }) => new Uint32Array(buffer, byteOffset, byteLength / 4),
  );
  return x.every((bits, i) => bits === y[i]);
}

const kindOf = (value: unknown): string =>
  value instanceof Promise ? 'a promise (edits are synchronous)' : showValue(value);
