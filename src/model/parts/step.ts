import type { Backend } from '../../tensor/backend.ts';
import type { KeyValues } from '../../tensor/ops/attention.ts';
import type { Rotation } from '../../tensor/ops/rotate.ts';
import { own, scope } from '../../tensor/scope.ts';
import { derive, inSequence, type RowPositions } from '../../tensor/tap.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import { writeKeyValues } from '../cache/key-values.ts';
import type { RopeConfig } from '../config/rope-config.ts';
import { rotationTables } from './rope.ts';
import type { SlotPlan } from '../cache/slots.ts';

/** New tokens of one sequence, and the cache of those before them. */
export interface NewTokens {
  readonly tokens: Int32Array;
  readonly cache: KvCache;
  /**
   * Tokens that the text will have, with those in the cache: the length for rotary scaling that depends on it.
   * Default: those after this step.
   */
  readonly textLength?: number | undefined;
  /** The pass only reads the cache, and sees so many of its tokens, from the first on. Default: it adds its tokens. */
  readonly seen?: number | undefined;
  /** Where the sequence enters the pass. Default: with its tokens, at the first layer. All of a step, or none, have one. */
  readonly from?: Entry | undefined;
}

/** Where a sequence enters a pass, other than with its tokens. */
export interface Entry {
  readonly layer: number;
  /** `[T, D]` f32: the residual stream before that layer. */
  readonly residual: Tensor;
}

/** What a layer's attention takes from the sequences of a step: positions, and the layer's caches. */
export interface LayerStep {
  /** The layer, from 0: the condition of a breakpoint that stops in one layer only, `step.index === 5`. */
  readonly index: number;
  /** The angles at each row's position. Layers with the same settings share them. */
  rotation(rope: RopeConfig): Rotation;
  /**
   * Stores the new `[T, K, d]` keys and `[T, K, dv]` values, and gives what each sequence's rows attend to.
   * Without `v`, for a layer whose cache has keys only (`valueDim` 0), the keys are given as values too.
   */
  append(k: Tensor, v?: Tensor): KeyValues[];
}

interface Row extends NewTokens {
  readonly begin: number;
  readonly end: number;
  readonly start: number;
  /** The length for rotary scaling. */
  readonly length: number;
  readonly plans: ReadonlyMap<number, SlotPlan>;
}

/**
 * One pass of the network over new tokens, of one sequence or of several laid end to end. All that attention, positions
 * and caches need of sequences is here; the rest of the network sees rows.
 */
export class Step {
  /** `[T]` i32 */
  readonly tokens: Tensor;
  readonly #backend: Backend;
  readonly #rows: readonly Row[];
  readonly #owned: Tensor[] = [];
  readonly #masks = new Map<SlotPlan, Tensor>();
  /** By settings and number of rows. */
  readonly #rotations = new Map<RopeConfig, Map<number, Rotation>>();

  /** @param sequences Those that enter at later layers come later. */
  constructor(backend: Backend, sequences: readonly NewTokens[]) {
    this.#backend = backend;
    let begin = 0;
    this.#rows = sequences.map((sequence) => {
      const { tokens, cache, seen } = sequence;
      const row = {
        ...sequence,
        begin,
        end: begin + tokens.length,
        start: seen ?? cache.length,
        length: lengthOf(sequence),
        plans: seen === undefined ? cache.begin(tokens.length) : cache.read(seen, tokens.length),
      };
      begin = row.end;
      return row;
    });
    this.tokens = this.#own(Int32Array.from(sequences.flatMap(({ tokens }) => [...tokens])), [begin]);
  }

  /** Rows of the pass: the last of each sequence, or those given for each, counted from its first one. */
  chosenRows(chosen: 'last' | readonly (readonly number[])[]): Int32Array {
    const rows = this.#rows.flatMap(({ begin, end }, i) =>
      chosen === 'last' ? end - 1 : chosen[i].map((row) => begin + row),
    );
    return Int32Array.from(rows);
  }

  /** The absolute positions of each sequence's rows, and of its rows of logits. */
  rowPositions(chosen: 'last' | 'all' | readonly (readonly number[])[]): RowPositions[] {
    return this.#rows.map((row, i) => {
      const positions = rowPositions(row);
      if (chosen === 'all') return { positions, logitPositions: positions };
      const logitPositions =
        chosen === 'last' ? positions.slice(-1) : Int32Array.from(chosen[i], (at) => positions[at]);
      return { positions, logitPositions };
    });
  }

  /** The absolute position of each row, `[T]` i32. */
  positions(): Tensor {
    return this.#own(Int32Array.from(this.#rows.flatMap((row) => [...rowPositions(row)])));
  }

  /** Tokens of the longest sequence, with those before. */
  get longest(): number {
    return Math.max(...this.#rows.map(({ start, tokens }) => start + tokens.length));
  }

  /** Residual streams that enter before a layer, to be laid behind the rows that are there; undefined without entries. */
  entering(layer: number): readonly Tensor[] | undefined {
    if (this.#rows[0].from === undefined) return undefined;
    return this.#rows.flatMap(({ from }) => (from?.layer === layer ? from.residual : []));
  }

  /** The sequences that are in the pass at a layer: the first ones. */
  layer(index: number): LayerStep {
    const rows = this.#rows.filter(({ from }) => (from?.layer ?? 0) <= index);
    return {
      index,
      rotation: (rope) => this.#rotation(rope, rows.at(-1)!.end),
      append: (k, v) => {
        if (this.#rows.length === 1) return [this.#stored(index, rows[0], k, v)];
        return rows.map((row, i) => {
          const own = (all: Tensor): Tensor => all.slice([row.begin, 0, 0], [row.end - row.begin, -1, -1]);
          return inSequence(i, () => this.#stored(index, row, own(k), v && own(v)));
        });
      },
    };
  }

  /** The angles of the first `count` rows. */
  #rotation(rope: RopeConfig, count: number): Rotation {
    const byCount = this.#rotations.get(rope) ?? new Map<number, Rotation>();
    this.#rotations.set(rope, byCount);
    const known = byCount.get(count);
    if (known !== undefined) return known;
    const rows = this.#rows.filter(({ end }) => end <= count);
    const tables = rows.map((row) => rotationTables(rope, rowPositions(row), row.length));
    const shape = [count, rope.rotaryDim / 2];
    const rotation = {
      cos: this.#own(joined(tables.map(({ cos }) => cos)), shape), // [T, R/2]
      sin: this.#own(joined(tables.map(({ sin }) => sin)), shape), // [T, R/2]
    };
    byCount.set(count, rotation);
    return rotation;
  }

  #stored(layer: number, { cache, begin, end, plans }: Row, k: Tensor, v: Tensor | undefined): KeyValues {
    const store = cache.layer(layer);
    const plan = plans.get(store.layout.window)!;
    if (store.layout.window < Infinity) derive('kv.hook_evict', () => Tensor.from(this.#backend, plan.evicted));
    const stored = writeKeyValues(store, plan, k, v);
    return { ...stored, begin, end, mask: this.#mask(plan), positions: plan.positions };
  }

  /** The step is done: its tokens are in the caches, but for those that it only reads. */
  commit(): void {
    for (const { cache, tokens, length, seen } of this.#rows) if (seen === undefined) cache.commit(tokens, length);
  }

  dispose(): void {
    for (const tensor of this.#owned) tensor.dispose();
  }

  /** Layers with the same window share their mask. */
  #mask(plan: SlotPlan): Tensor | undefined {
    const { mask, positions } = plan;
    if (mask === undefined) return undefined;
    const known = this.#masks.get(plan);
    if (known !== undefined) return known;
    const tensor = this.#own(mask, [mask.length / positions.length, positions.length]); // [T, S]
    this.#masks.set(plan, tensor);
    return tensor;
  }

  #own(values: Float32Array | Int32Array, shape?: readonly number[]): Tensor {
    const tensor = scope('', () => own(Tensor.from(this.#backend, values, shape)));
    this.#owned.push(tensor);
    return tensor;
  }
}

/** The length of text for a sequence's rotary scaling, in tokens. */
export const lengthOf = ({ tokens, cache, seen = cache.length, textLength = 0 }: NewTokens): number =>
  Math.max(seen + tokens.length, textLength);

/** The absolute positions of the new tokens. */
const rowPositions = ({ begin, end, start }: Row): Int32Array =>
  Int32Array.from({ length: end - begin }, (_, row) => start + row);

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0];
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
