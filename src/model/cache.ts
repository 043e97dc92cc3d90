import type { Backend } from '../tensor/backend.ts';
import { DisposedError, VitrineError } from '../tensor/errors.ts';
import { scope } from '../tensor/scope.ts';
import { Variable } from '../tensor/variable.ts';
import { planSlots, type SlotPlan } from './slots.ts';

/** What one layer caches per token. */
export interface LayerLayout {
  readonly nKvHeads: number;
  readonly keyDim: number;
  /** 0 where a layer's values are the first numbers of its keys, and need no store of their own. */
  readonly valueDim: number;
  /** Where keys are a latent of so many numbers with a part that turns: the two are shown under names of their own. */
  readonly latentDim?: number;
  /** Keys that a query sees, itself included; Infinity for all. */
  readonly window: number;
}

/** The store of one layer: `[K, slots, d]` keys and, unless the keys hold them, `[K, slots, dv]` values; f32. */
export interface LayerStore {
  readonly layout: LayerLayout;
  readonly keys: Variable;
  readonly values: Variable | undefined;
}

/**
 * The keys and values of one sequence, so that each token is computed once. It grows with use; layers with a sliding
 * window keep a ring of that many slots. Its owner disposes of it.
 */
export class KvCache {
  readonly #backend: Backend;
  readonly #layout: readonly LayerLayout[];
  #layers: LayerStore[];
  #tokens: number[] = [];
  /** Where the step ends that is being written; after an interruption, its tokens were not committed. */
  #writingTo = 0;
  #turnedFor = 0;
  #disposed = false;

  constructor(backend: Backend, layout: readonly LayerLayout[]) {
    this.#backend = backend;
    this.#layout = layout;
    this.#layers = layout.map((layer) => emptyStore(backend, layer, 0));
  }

  /** Tokens in the cache; the next token has this position. */
  get length(): number {
    return this.#tokens.length;
  }

  /** The tokens whose keys and values are in the cache. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** The length of the text by whose angles the keys were turned. */
  get turnedFor(): number {
    return this.#turnedFor;
  }

  /** Memory of the stores. */
  get bytes(): number {
    const numbers = this.#layers.map(({ layout: { nKvHeads, keyDim, valueDim }, keys }) => nKvHeads * keys.shape[1] * (keyDim + valueDim)); // prettier-ignore
    return numbers.reduce((sum, count) => sum + count * 4, 0);
  }

  /**
   * Forgets all tokens from position `length` on.
   *
   * @throws VitrineError if a layer with a sliding window no longer has the keys that the position `length` sees.
   */
  truncate(length: number): void {
    this.#expectUsable('truncate');
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new VitrineError(`KvCache.truncate: expected a length from 0 to ${this.length}, got ${length}.`);
    const window = Math.min(...this.#layout.map((layer) => layer.window));
    if (this.#writingTo > window && length < this.#writingTo && length > 0)
      throw new VitrineError(
        `KvCache.truncate: the sliding window keeps ${window} of ${this.#writingTo} tokens, and what position ${length} sees ` +
          'is gone. Fork the cache before going on, or start from an empty one.',
      );
    if (length < this.#writingTo) this.#clearFrom(length);
    this.#tokens.length = length;
    this.#writingTo = length;
  }

  /** An independent copy: both go on from here on their own. */
  fork(): KvCache {
    this.#expectUsable('fork');
    const copy = new KvCache(this.#backend, this.#layout);
    copy.#layers.forEach(disposeStore);
    copy.#layers = this.#layers.map((store) => resized(this.#backend, store, store.keys.shape[1]));
    copy.#tokens = [...this.#tokens];
    copy.#writingTo = this.#writingTo;
    copy.#turnedFor = this.#turnedFor;
    return copy;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#layers.forEach(disposeStore);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Makes room for `rows` more tokens and says where they go, by window.
   * For a forward pass: its layers write, then it calls `commit`.
   */
  begin(rows: number): ReadonlyMap<number, SlotPlan> {
    this.#expectUsable('append');
    if (this.#writingTo > this.length) this.#clearFrom(this.length);
    const plans = new Map<number, SlotPlan>();
    for (const { layout, keys } of this.#layers) {
      if (!plans.has(layout.window))
        plans.set(layout.window, planSlots(this.length, rows, keys.shape[1], layout.window));
    }
    this.#resize((layout) => plans.get(layout.window)!.capacity);
    this.#writingTo = this.length + rows;
    return plans;
  }

  /** The tokens of `begin` are in every layer, their keys turned by the angles of a text of `length` tokens. */
  commit(tokens: Iterable<number>, length: number): void {
    for (const token of tokens) this.#tokens.push(token);
    this.#turnedFor = length;
  }

  /** Takes the contents of another cache of the same network, which is empty afterwards, for its own. */
  replaceWith(other: KvCache): void {
    this.#layers.forEach(disposeStore);
    this.#layers = other.#layers;
    this.#tokens = other.#tokens;
    this.#writingTo = other.#writingTo;
    this.#turnedFor = other.#turnedFor;
    other.#layers = other.#layout.map((layer) => emptyStore(other.#backend, layer, 0));
    other.#tokens = [];
    other.#writingTo = 0;
  }

  layer(index: number): LayerStore {
    return this.#layers[index];
  }

  #resize(capacity: (layout: LayerLayout) => number): void {
    this.#layers = this.#layers.map((store) => {
      const slots = capacity(store.layout);
      if (slots <= store.keys.shape[1]) return store;
      const grown = resized(this.#backend, store, slots);
      disposeStore(store);
      return grown;
    });
  }

  /** Leftovers, also of an interrupted step, must not reach later sums: a NaN times a weight of 0 is a NaN. */
  #clearFrom(length: number): void {
    this.#layers = this.#layers.map((store) => {
      const slots = store.keys.shape[1];
      const kept = Math.min(length, slots);
      const cleared = resized(this.#backend, store, slots, kept);
      disposeStore(store);
      return cleared;
    });
  }

  #expectUsable(action: string): void {
    if (this.#disposed)
      throw new DisposedError(`KvCache.${action}: the cache was disposed of. Make one with newCache().`);
    const interrupted = this.#writingTo > this.length;
    if (interrupted && action !== 'truncate' && this.#layout.some(({ window }) => this.#writingTo > window))
      throw new VitrineError(
        `KvCache.${action}: a forward pass was interrupted while it overwrote the sliding window. ` +
          'Call truncate(0) and run the text again.',
      );
  }
}

function emptyStore(backend: Backend, layout: LayerLayout, slots: number): LayerStore {
  const { nKvHeads, keyDim, valueDim } = layout;
  return {
    layout,
    keys: new Variable(backend, [nKvHeads, slots, keyDim]),
    values: valueDim === 0 ? undefined : new Variable(backend, [nKvHeads, slots, valueDim]),
  };
}

/** A new store of `slots` with the first `kept` slots of another. */
function resized(backend: Backend, from: LayerStore, slots: number, kept = from.keys.shape[1]): LayerStore {
  const to = emptyStore(backend, from.layout, slots);
  if (kept > 0) {
    scope('', () => {
      to.keys.write([0, 0, 0], from.keys.read().slice([0, 0, 0], [-1, kept, -1]));
      if (from.values) to.values?.write([0, 0, 0], from.values.read().slice([0, 0, 0], [-1, kept, -1]));
    });
  }
  return to;
}

function disposeStore({ keys, values }: LayerStore): void {
  keys.dispose();
  values?.dispose();
}
