import { VitrineError } from '../../errors.ts';
import type { Operand } from '../backend.ts';
import { byteSize, elements, isFloat } from '../dtype.ts';
import { own, scope } from '../scope.ts';
import { show } from '../shape.ts';
import { onTape, type SettingsOf, type Tape, type TapedOp } from '../tape.ts';
import { Tensor } from '../tensor.ts';
import { joinedPieces } from './movement.ts';
import { zeros } from './reductions.ts';
import type { Read, Rule } from './rule.ts';
import { RULES } from './rules.ts';

/** A tensor on the tape: the order in which it came. */
type Id = number;

/** An op on the tape. */
interface Entry {
  readonly results: readonly Id[];
  /** The gradient in the op's result, from those in all of its results, of which at least one is known. */
  readonly join: (gradients: readonly (Tensor | undefined)[]) => Tensor;
  /** The gradients in its operands, from that in its result. */
  readonly pulls: readonly { readonly operand: Id; readonly pull: (gradient: Tensor) => Tensor }[];
  /** What the pulls read. */
  readonly kept: readonly Tensor[];
}

/**
 * Reverse mode differentiation (Linnainmaa, 1970): hears of the ops that a body computes from the tensors of `watch`, and
 * then takes the gradients of one number in these, by the rule of each op, from the last op to the first. All else is
 * constant. Its owner disposes of it.
 *
 * What the rules read stays in memory until `takeBack` has used it, through handles of the tape's own: scopes free their
 * tensors as ever.
 */
export class GradientTape implements Tape {
  readonly #ids = new WeakMap<Operand, Id>();
  readonly #watched = new Set<Id>();
  readonly #entries: Entry[] = [];
  readonly #gradients = new Map<Id, Tensor>();
  /** How many kept tensors share each piece of memory. */
  readonly #holders = new Map<unknown, number>();
  #count = 0;
  #bytes = 0;

  /** Bytes that are kept in memory for the rules, weights apart. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Runs a synchronous body, whose ops the tape hears of. */
  run<R>(body: () => R): R {
    return onTape(this, body);
  }

  /**
   * The numbers of a tensor as a new one, whose gradient will be taken. It belongs to the current scope.
   *
   * @throws {VitrineError} for integers, which have no gradient.
   */
  watch(tensor: Tensor): Tensor {
    if (!isFloat(tensor.dtype))
      throw new VitrineError(
        `gradients: expected floats, got ${tensor.dtype} ${show(tensor.shape)}: integers are constant.`,
      );
    const watched = sharing(tensor);
    if (this.tracks(tensor)) this.recordWhole(tensor, watched, (gradient) => gradient);
    this.#watched.add(this.#idOf(watched));
    return watched;
  }

  tracks(tensor: Operand): boolean {
    return this.#ids.has(tensor);
  }

  record<O extends TapedOp>(
    op: O,
    operands: readonly Operand[],
    results: readonly Operand[],
    settings: SettingsOf<O>,
  ): void {
    if (!operands.some((operand) => this.tracks(operand)) || !isFloat(results[0].dtype)) return;
    const rules = RULES[op] as readonly Rule<SettingsOf<O>>[];
    const shapes = operands.map(({ shape }) => shape);
    const sources = { a: operands[0], b: operands[1], y: results[0] };
    const tensors: Partial<Record<Read, Tensor>> = {};
    const pulls = operands.flatMap((operand, i) => {
      const id = this.#ids.get(operand);
      if (id === undefined) return [];
      const { reads, pull } = rules[Math.min(i, rules.length - 1)];
      for (const read of reads) tensors[read] ??= this.#keep(sources[read] as Tensor);
      const call = { tensors: tensors as Record<Read, Tensor>, shapes, operand: i, settings };
      return [{ operand: id, pull: (gradient: Tensor) => pull(gradient, call) }];
    });
    const pieces = results.map(({ shape }) => shape);
    const join: Entry['join'] =
      op === 'split'
        ? (gradients) => joinedPieces(gradients, pieces, (settings as SettingsOf<'split'>).axis)
        : ([gradient]) => gradient!;
    this.#entries.push({ results: results.map((y) => this.#idOf(y)), join, pulls, kept: Object.values(tensors) });
  }

  recordWhole<T extends Operand>(operand: T, result: T, pull: (gradient: T) => T): void {
    this.#entries.push({
      results: [this.#idOf(result)],
      join: ([gradient]) => gradient!,
      pulls: [{ operand: this.#idOf(operand), pull: pull as unknown as (gradient: Tensor) => Tensor }],
      kept: [],
    });
  }

  /**
   * Takes the gradients of a value in the watched tensors; once. What was kept is freed on the way.
   *
   * @param value One number, computed from watched tensors.
   */
  takeBack(value: Tensor): void {
    onTape(undefined, () => {
      scope('', () => {
        this.#addTo(this.#idOf(value), Tensor.from(value.backend, Float32Array.of(1), value.shape));
      });
      for (let entry = this.#entries.pop(); entry !== undefined; entry = this.#entries.pop()) {
        const { results, join, pulls, kept } = entry;
        try {
          const gradients = results.map((id) => this.#gradients.get(id));
          if (gradients.every((gradient) => gradient === undefined)) continue;
          scope('', () => {
            const gradient = join(gradients);
            for (const { operand, pull } of pulls) this.#addTo(operand, pull(gradient));
          });
          for (const id of results) if (!this.#watched.has(id)) this.#drop(id);
        } finally {
          this.#free(kept);
        }
      }
    });
  }

  /** The gradient in a tensor of `watch`, after `takeBack`: zeros where the value does not depend on it. The tape frees it. */
  gradient(watched: Tensor): Tensor {
    const id = this.#idOf(watched);
    const known = this.#gradients.get(id) ?? scope('', () => own(zeros(watched, watched.shape)));
    this.#gradients.set(id, known);
    return known;
  }

  /** Frees all that is kept, and the gradients. */
  dispose(): void {
    for (const { kept } of this.#entries.splice(0)) this.#free(kept);
    for (const id of [...this.#gradients.keys()]) this.#drop(id);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #idOf(tensor: Operand): Id {
    const known = this.#ids.get(tensor) ?? this.#count++;
    this.#ids.set(tensor, known);
    return known;
  }

  /** Adds a part to the gradient in a tensor. */
  #addTo(id: Id, part: Tensor): void {
    const known = this.#gradients.get(id);
    this.#gradients.set(id, own(sharing(known ? known.add(part) : part)));
    known?.dispose();
  }

  #drop(id: Id): void {
    this.#gradients.get(id)?.dispose();
    this.#gradients.delete(id);
  }

  #keep(tensor: Tensor): Tensor {
    const kept = own(sharing(tensor));
    const isConstant = tensor.kept && !this.tracks(tensor); // A weight, a mask: it stays in memory anyway.
    const holders = this.#holders.get(kept.handle) ?? (isConstant ? 1 : 0);
    if (holders === 0) this.#bytes += bytesOf(kept);
    this.#holders.set(kept.handle, holders + 1);
    return kept;
  }

  #free(kept: readonly Tensor[]): void {
    for (const tensor of kept) {
      const holders = this.#holders.get(tensor.handle)! - 1;
      if (holders > 0) this.#holders.set(tensor.handle, holders);
      else if (this.#holders.delete(tensor.handle)) this.#bytes -= bytesOf(tensor);
      tensor.dispose();
    }
  }
}

/** A tensor with a handle of its own on the same memory. */
const sharing = (tensor: Tensor): Tensor =>
  new Tensor(tensor.backend, tensor.backend.reshape(tensor, tensor.shape), tensor.shape, tensor.dtype);

const bytesOf = ({ shape, dtype }: Tensor): number => elements(shape) * byteSize(dtype);
