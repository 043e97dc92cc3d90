import type { Backend } from '../../tensor/backend.ts';
import { DisposedError, VitrineError } from '../../errors.ts';
import { scope } from '../../tensor/scope.ts';
import { Variable } from '../../tensor/variable.ts';
import { formatBytes } from '../../format-bytes.ts';
import { checkArgument, whole } from '../../options.ts';
import { planReading, planSlots, type SlotPlan } from './slots.ts';

/** The numbers that one layer caches for each token. */
export interface LayerLayout {
  readonly nKvHeads: number;
  readonly keyDim: number;
  /** 0 where a layer's values are the first numbers of its keys, and have no store. */
  readonly valueDim: number;
  /** Present where keys are a latent of so many numbers with a rotary part behind it, which have hooks of their own. */
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

/** The stores of a cache, in an object that outlives the cache where that is collected without `dispose`. */
interface Stores {
  layers: readonly LayerStore[];
}

/** A call that uses a cache. */
export interface CacheUse {
  readonly call: string;
}

/** Frees the stores of caches that nobody disposed of. */
const forgotten = new FinalizationRegistry<Stores>(({ layers }) => {
  layers.forEach(disposeStore);
});

/**
 * The keys and values of one sequence, so that each token is computed once. It grows with use; layers with a sliding
 * window keep a ring of that many slots. Its owner disposes of it.
 *
 * One call uses it at a time: while `generate` runs, from its first token until its iterator has ended, only `fork` and
 * `dispose` are allowed.
 */
export class KvCache {
  readonly #backend: Backend;
  readonly #layout: readonly LayerLayout[];
  readonly #maxLength: number;
  readonly #stores: Stores;
  #tokens: number[] = [];
  /** End of the step that is being written, in tokens; beyond `#tokens` where a step was interrupted. */
  #writingTo = 0;
  #rotatedFor = 0;
  /** Weak, so that an iterator which is collected no longer holds its cache. */
  #use: WeakRef<CacheUse> | undefined;
  #disposed = false;

  /** @param maxLength Tokens that the text will have at most: no more slots are taken. */
  constructor(backend: Backend, layout: readonly LayerLayout[], maxLength = Infinity) {
    this.#backend = backend;
    this.#layout = layout;
    this.#maxLength = maxLength;
    this.#stores = { layers: layout.map((layer) => emptyStore(backend, layer, 0)) };
    forgotten.register(this, this.#stores, this);
  }

  /** Tokens in the cache; the next token has this position. */
  get length(): number {
    return this.#tokens.length;
  }

  /** The tokens whose keys and values are in the cache. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** The length of text for which the keys were rotated: some rotary scalings depend on it. */
  get rotatedFor(): number {
    return this.#rotatedFor;
  }

  /** Memory of the stores. */
  get bytes(): number {
    const numbers = this.#stores.layers.map(
      ({ layout: { nKvHeads, keyDim, valueDim }, keys }) => nKvHeads * keys.shape[1] * (keyDim + valueDim),
    );
    return numbers.reduce((sum, count) => sum + count * 4, 0);
  }

  /**
   * Forgets all tokens from position `length` on.
   *
   * @throws {VitrineError} if a layer with a sliding window no longer has the keys that the position `length` sees.
   */
  truncate(length: number): void {
    this.#expectFree('KvCache.truncate');
    this.#expectUsable('truncate');
    checkArgument('KvCache.truncate', 'length', length, whole(0, this.length));
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
    const copy = new KvCache(this.#backend, this.#layout, this.#maxLength);
    copy.#stores.layers.forEach(disposeStore);
    copy.#stores.layers = this.#stores.layers.map((store) => resized(this.#backend, store, store.keys.shape[1]));
    copy.#tokens = [...this.#tokens];
    copy.#writingTo = this.#writingTo;
    copy.#rotatedFor = this.#rotatedFor;
    return copy;
  }

  /** Frees the memory now; a call that uses the cache then ends with a DisposedError. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    this.#stores.layers.forEach(disposeStore);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  [Symbol.for('debug.description')](): string {
    return `KvCache ${this.#tokens.length} tokens`;
  }
  /** One line: tokens, layers, memory. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const most = this.#maxLength < Infinity ? ` of at most ${this.#maxLength}` : '';
    const windowed = this.#layout.filter(({ window }) => window < Infinity).length;
    const layers = `${this.#layout.length} layers${windowed > 0 ? `, ${windowed} with a sliding window` : ''}`;
    const memory = this.#disposed ? 'freed' : formatBytes(this.bytes);
    return `KvCache ${this.length}${most} tokens, ${layers}, ${memory}`;
  }

  /**
   * Refuses other calls until `release`. For calls of the model.
   *
   * @param layout Of the model's network.
   * @throws {VitrineError} where another call uses the cache, or it belongs to another model.
   * @throws {DisposedError} for a cache that is disposed of.
   */
  use(call: string, layout: readonly LayerLayout[]): CacheUse {
    if (layout !== this.#layout)
      throw new VitrineError(`${call}: the cache was made by another model. Make one with newCache() of this model.`);
    this.#expectFree(call);
    const use = { call };
    this.#use = new WeakRef(use);
    return use;
  }

  /** The call that `use` was given to is over. */
  release(use: CacheUse): void {
    if (this.#use?.deref() === use) this.#use = undefined;
  }

  /** Drops the tokens beyond `length` that an unfinished call has added, as if its steps had been interrupted. */
  takeBack(length: number): void {
    this.#tokens.length = Math.min(length, this.length);
  }

  /**
   * Begins a step of `rows` more tokens: makes room, and gives the slots by window. The layers of the forward pass then
   * write, and it calls `commit`.
   */
  begin(rows: number): ReadonlyMap<number, SlotPlan> {
    this.#expectUsable('append');
    if (this.#writingTo > this.length) this.#clearFrom(this.length);
    const plans = new Map<number, SlotPlan>();
    for (const { layout, keys } of this.#stores.layers) {
      if (!plans.has(layout.window))
        plans.set(layout.window, planSlots(this.length, rows, keys.shape[1], layout.window, this.#maxLength));
    }
    this.#resize((layout) => plans.get(layout.window)!.capacity);
    this.#writingTo = this.length + rows;
    return plans;
  }

  /**
   * The slots by window for a pass of `rows` tokens that follow the first `seen` ones and are not to be kept: its layers
   * write nothing.
   *
   * @throws {VitrineError} if a layer with a sliding window no longer has the keys that position `seen` sees.
   */
  read(seen: number, rows: number): ReadonlyMap<number, SlotPlan> {
    this.#expectUsable('read');
    const plans = new Map<number, SlotPlan>();
    for (const { layout, keys } of this.#stores.layers) {
      const { window } = layout;
      if (seen > 0 && seen < this.#writingTo && this.#writingTo > window)
        throw new VitrineError(
          `KvCache.read: the sliding window keeps ${window} of ${this.#writingTo} tokens, and what position ${seen} sees is gone.`,
        );
      if (!plans.has(window))
        plans.set(window, planReading({ length: this.length, seen }, rows, keys.shape[1], window));
    }
    return plans;
  }

  /** The tokens of `begin` are in every layer, their keys rotated by the angles of a text of `length` tokens. */
  commit(tokens: Iterable<number>, length: number): void {
    for (const token of tokens) this.#tokens.push(token);
    this.#rotatedFor = length;
  }

  /** Moves the contents of another cache of the same network here; the other is empty afterwards. */
  replaceWith(other: KvCache): void {
    if (this.#disposed) throw disposed('append');
    this.#stores.layers.forEach(disposeStore);
    this.#stores.layers = other.#stores.layers;
    this.#tokens = other.#tokens;
    this.#writingTo = other.#writingTo;
    this.#rotatedFor = other.#rotatedFor;
    other.#stores.layers = other.#layout.map((layer) => emptyStore(other.#backend, layer, 0));
    other.#tokens = [];
    other.#writingTo = 0;
  }

  /** The store of a layer. */
  layer(index: number): LayerStore {
    if (this.#disposed) throw disposed('append');
    return this.#stores.layers[index];
  }

  #resize(capacity: (layout: LayerLayout) => number): void {
    this.#stores.layers = this.#stores.layers.map((store) => {
      const slots = capacity(store.layout);
      if (slots <= store.keys.shape[1]) return store;
      const grown = resized(this.#backend, store, slots);
      disposeStore(store);
      return grown;
    });
  }

  /** Zeroes the slots from `length` on: a NaN that an interrupted step left would reach later sums, even times 0. */
  #clearFrom(length: number): void {
    this.#stores.layers = this.#stores.layers.map((store) => {
      const slots = store.keys.shape[1];
      const kept = Math.min(length, slots);
      const cleared = resized(this.#backend, store, slots, kept);
      disposeStore(store);
      return cleared;
    });
  }

  #expectFree(call: string): void {
    const use = this.#use?.deref();
    if (use === undefined) return;
    throw new VitrineError(
      `${call}: ${use.call} is using the cache. Wait until it has ended (return() ends an iterator), or go on with a copy: cache.fork().`,
    );
  }

  #expectUsable(action: string): void {
    if (this.#disposed) throw disposed(action);
    const interrupted = this.#writingTo > this.length;
    if (interrupted && action !== 'truncate' && this.#layout.some(({ window }) => this.#writingTo > window))
      throw new VitrineError(
        `KvCache.${action}: a forward pass was interrupted while it overwrote the sliding window. ` +
          'Call truncate(0) and run the text again.',
      );
  }
}

const disposed = (action: string): DisposedError =>
  new DisposedError(`KvCache.${action}: the cache was disposed of. Make one with newCache().`);

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
