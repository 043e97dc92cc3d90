import { VitrineError } from '../errors.ts';
import type { KvCache } from '../model/cache/kv-cache.ts';

/** A cache that lives through texts that begin alike, as the turns of a conversation do: each token is computed once. */
export class PrefixCache {
  readonly #newCache: () => KvCache;
  #cache: KvCache;

  /** @param newCache Makes an empty cache: `() => model.newCache()`. */
  constructor(newCache: () => KvCache) {
    this.#newCache = newCache;
    this.#cache = newCache();
  }

  /**
   * The cache with the beginning that it shares with `tokens`, but for their last one, whose logits a pass has to compute.
   * It is empty where a sliding window has lost what the next position sees.
   */
  reuse(tokens: readonly number[]): KvCache {
    return this.#keep(commonPrefix(this.#cache.tokens, tokens.slice(0, -1)));
  }

  /** Forgets all tokens. */
  clear(): void {
    this.#keep(0);
  }

  /** Frees the cache. */
  dispose(): void {
    this.#cache.dispose();
  }

  #keep(length: number): KvCache {
    try {
      this.#cache.truncate(length);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      this.#cache.dispose();
      this.#cache = this.#newCache();
    }
    return this.#cache;
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
