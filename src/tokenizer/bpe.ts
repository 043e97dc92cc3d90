import type { Model } from './encoding.ts';
import { TokenizerError } from './files.ts';
import { isTokenId } from './library.ts';
import { isObject } from '../json.ts';

/** `model` of tokenizer.json where its type is BPE. */
export interface BpeConfig {
  readonly vocab: Readonly<Record<string, number>>;
  /** In order of rank: `["a", "b"]`, or `"a b"` in older files. */
  readonly merges: readonly (string | readonly [string, string])[];
  readonly unk_token?: string | null;
  readonly fuse_unk?: boolean;
  readonly byte_fallback?: boolean;
  readonly ignore_merges?: boolean;
}

/** The model's part of tokenizer.json, if it is BPE without marks for the beginnings or ends of words. */
export function bpeConfig(model: unknown): BpeConfig | undefined {
  if (!isObject(model) || (model.type !== undefined && model.type !== 'BPE')) return undefined;
  if (model.continuing_subword_prefix || model.end_of_word_suffix || !Array.isArray(model.merges)) return undefined;
  if (!isObject(model.vocab)) return undefined;
  const wrong = Object.entries(model.vocab).find(([, id]) => !isTokenId(id));
  if (wrong)
    throw new TokenizerError(
      `tokenizer.json: expected the id of "${wrong[0]}" to be a token id, got ${String(wrong[1])}`,
    );
  return model as unknown as BpeConfig;
}

/** Words longer than this are rarely seen twice. */
const MAX_CACHED_LENGTH = 64;
const CACHE_SIZE = 16_384;

const PAIR = 2 ** 22;
const POSITION = 2 ** 31;
const utf8 = new TextEncoder();

/**
 * Byte pair encoding: begins with a word's characters and joins, as long as one can be joined, the adjacent pair whose
 * merge has the lowest rank, the leftmost of equals. The queue keeps the time at n log n for a word of n characters,
 * so that a megabyte of one letter does no harm.
 */
export class Bpe implements Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** `left * PAIR + right` to the rank of the merge. */
  private readonly ranks = new Map<number, number>();
  /** By rank: the token that the merge makes. */
  private readonly merged: Int32Array;
  private readonly unknown: number | undefined;
  private readonly config: BpeConfig;
  private readonly cache = new Map<string, readonly number[]>();

  constructor(config: BpeConfig) {
    this.config = config;
    this.vocab = new Map(Object.entries(config.vocab));
    this.unknown = this.vocab.get(config.unk_token ?? '');
    this.merged = new Int32Array(config.merges.length);
    config.merges.forEach((merge, rank) => {
      const [left, right] = halves(merge, rank);
      const ids = [this.vocab.get(left), this.vocab.get(right), this.vocab.get(left + right)] as const;
      if (ids[0] === undefined || ids[1] === undefined || ids[2] === undefined) {
        throw new TokenizerError(
          `tokenizer.json: merge ${rank}, "${left}" with "${right}", has no token in the vocabulary`,
        );
      }
      this.ranks.set(ids[0] * PAIR + ids[1], rank);
      this.merged[rank] = ids[2];
    });
  }

  encode(word: string): readonly number[] {
    const whole = this.config.ignore_merges === true ? this.vocab.get(word) : undefined;
    if (whole !== undefined) return [whole];
    const known = this.cache.get(word);
    if (known) return known;
    const ids = this.merge(this.symbols(word));
    if (word.length <= MAX_CACHED_LENGTH) {
      if (this.cache.size >= CACHE_SIZE) this.cache.clear();
      this.cache.set(word, ids);
    }
    return ids;
  }

  /** The tokens of a word's characters; of its bytes where the model falls back on bytes; else the unknown token. */
  private symbols(word: string): number[] {
    const ids: number[] = [];
    let afterUnknown = false;
    for (const char of word) {
      const id = this.vocab.get(char);
      const found = id === undefined ? this.bytesOf(char) : [id];
      if (found) ids.push(...found);
      else if (this.unknown !== undefined && !(afterUnknown && this.config.fuse_unk)) ids.push(this.unknown);
      afterUnknown = found === undefined;
    }
    return ids;
  }

  private bytesOf(char: string): number[] | undefined {
    if (!this.config.byte_fallback) return undefined;
    const ids = Array.from(utf8.encode(char), (byte) =>
      this.vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    );
    return ids.includes(undefined) ? undefined : (ids as number[]);
  }

  private merge(symbols: number[]): number[] {
    const n = symbols.length;
    const next = Int32Array.from(symbols, (_, i) => i + 1);
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const rankAt = (i: number) => (next[i] < n ? this.ranks.get(symbols[i] * PAIR + symbols[next[i]]) : undefined);
    const queue = new MinHeap();
    const consider = (i: number) => {
      const rank = rankAt(i);
      if (rank !== undefined) queue.push(rank * POSITION + i);
    };
    for (let i = 0; i < n - 1; i++) consider(i);
    for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
      const rank = Math.floor(top / POSITION);
      const i = top % POSITION;
      // Its pair may have gone, or changed, since it was queued.
      if (symbols[i] === JOINED || rankAt(i) !== rank) continue;
      const right = next[i];
      symbols[i] = this.merged[rank]!;
      symbols[right] = JOINED;
      next[i] = next[right]!;
      if (next[i] < n) previous[next[i]] = i;
      if (previous[i] >= 0) consider(previous[i]);
      consider(i);
    }
    return symbols.filter((id) => id !== JOINED);
  }
}

/** Marks the right half of a joined pair. */
const JOINED = -1;

function halves(merge: unknown, rank: number): [string, string] {
  if (typeof merge === 'string' && merge.includes(' ')) {
    const space = merge.indexOf(' ');
    return [merge.slice(0, space), merge.slice(space + 1)];
  }
  if (Array.isArray(merge) && merge.length === 2 && merge.every((half) => typeof half === 'string')) {
    return merge as [string, string];
  }
  throw new TokenizerError(
    `tokenizer.json: expected merge ${rank} to be "a b" or ["a", "b"], got ${JSON.stringify(merge)}`,
  );
}

class MinHeap {
  private readonly items: number[] = [];

  push(item: number): void {
    const { items } = this;
    let i = items.push(item) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && items[parent] > item; parent = (i - 1) >> 1) {
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  pop(): number | undefined {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let i = 0;
    for (let child = 1; child < items.length; child = 2 * i + 1) {
      if (child + 1 < items.length && items[child + 1] < items[child]) child++;
      if (items[child] >= last) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = last;
    return top;
  }
}
