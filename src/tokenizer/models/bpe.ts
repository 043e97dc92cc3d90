import { MAX_ID, showValue, TokenizerError, type Fields } from '../json-fields.ts';
import { MAX_ENTRIES } from '../size-limits.ts';
import { byteTokens } from './byte-tokens.ts';
import type { Model } from './tokenizer-model.ts';
import { unknownId } from './word-level.ts';

/** Words longer than this are rarely seen twice. */
const MAX_CACHED_LENGTH = 64;
const CACHE_SIZE = 16_384;

/** UTF-16 units of what marks parts of words: `##`, `</w>`. */
const MAX_MARK = 64;

const PAIR = MAX_ID;
const POSITION = 2 ** 31;

/**
 * Byte pair encoding: begins with a word's characters and joins, as long as one can be joined, the adjacent pair whose
 * merge has the lowest rank, the leftmost of equals. The queue keeps the time at n log n for a word of n characters,
 * so that a megabyte of one letter does no harm. Dropout is for training and is not applied.
 */
export class Bpe implements Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** `left * PAIR + right` to the rank of the merge. */
  readonly #ranks = new Map<number, number>();
  /** By rank: the token that the merge makes. */
  readonly #merged: Int32Array;
  readonly #fields: Fields;
  readonly #unknown: string | undefined;
  /** Put before every character of a word but the first. */
  readonly #continuingPrefix: string;
  /** Put behind the last character of a word. */
  readonly #endSuffix: string;
  readonly #fusesUnknown: boolean;
  readonly #fallsBackOnBytes: boolean;
  /** Whether a word that is a token is that token, whatever merges would make of it. */
  readonly #ignoresMerges: boolean;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(fields: Fields, vocab: ReadonlyMap<string, number>) {
    this.#fields = fields;
    this.vocab = vocab;
    this.#unknown = fields.has('unk_token') ? fields.string('unk_token') : undefined;
    this.#continuingPrefix = shortMark(fields, 'continuing_subword_prefix');
    this.#endSuffix = shortMark(fields, 'end_of_word_suffix');
    this.#fusesUnknown = fields.boolean('fuse_unk', false);
    this.#fallsBackOnBytes = fields.boolean('byte_fallback', false);
    this.#ignoresMerges = fields.boolean('ignore_merges', false);
    // A file of merges begins with a line that is none.
    const merges = fields.list('merges').filter((merge) => typeof merge !== 'string' || !merge.startsWith('#version'));
    if (merges.length > MAX_ENTRIES) fields.fail('merges', `a list of at most ${MAX_ENTRIES}`);
    this.#merged = new Int32Array(merges.length);
    merges.forEach((merge, rank) => {
      const [left, right] = halves(fields, merge, rank);
      const joined = left + right.slice(this.#continuingPrefix.length);
      const ids = [left, right, joined].map((token) => vocab.get(token));
      if (ids[0] === undefined || ids[1] === undefined || ids[2] === undefined) {
        throw new TokenizerError(
          `${fields.path}: merge ${rank}, ${showValue(left)} with ${showValue(right)}, has no token in the vocabulary`,
        );
      }
      this.#ranks.set(ids[0] * PAIR + ids[1], rank);
      this.#merged[rank] = ids[2];
    });
  }

  encode(word: string): readonly number[] {
    const whole = this.#ignoresMerges ? this.vocab.get(word) : undefined;
    if (whole !== undefined) return [whole];
    const known = this.#cache.get(word);
    if (known) return known;
    const ids = this.#merge(this.#symbols(word));
    if (word.length <= MAX_CACHED_LENGTH) {
      if (this.#cache.size >= CACHE_SIZE) this.#cache.clear();
      this.#cache.set(word, ids);
    }
    return ids;
  }

  /** The tokens of a word's characters; of its bytes where the model falls back on bytes; else the unknown token. */
  #symbols(word: string): number[] {
    const ids: number[] = [];
    // As in the Rust crate, an unknown character waits for the next known one: bytes do not make it speak.
    let unknown: number | undefined;
    let at = 0;
    for (const char of word) {
      const isFirst = at === 0;
      at += char.length;
      const symbol = (isFirst ? '' : this.#continuingPrefix) + char + (at === word.length ? this.#endSuffix : '');
      const id = this.vocab.get(symbol);
      if (id !== undefined) {
        if (unknown !== undefined) ids.push(unknown);
        unknown = undefined;
        ids.push(id);
        continue;
      }
      const bytes = this.#fallsBackOnBytes ? byteTokens(this.vocab, symbol) : undefined;
      if (bytes) ids.push(...bytes);
      else if (this.#unknown !== undefined) {
        if (unknown !== undefined && !this.#fusesUnknown) ids.push(unknown);
        unknown ??= unknownId(this.#fields, this.vocab, this.#unknown);
      }
    }
    if (unknown !== undefined) ids.push(unknown);
    return ids;
  }

  #merge(symbols: number[]): number[] {
    const n = symbols.length;
    const next = Int32Array.from(symbols, (_, i) => i + 1);
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const rankAt = (i: number) => (next[i] < n ? this.#ranks.get(symbols[i] * PAIR + symbols[next[i]]) : undefined);
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
      if (symbols[i] === MERGED || rankAt(i) !== rank) continue;
      const right = next[i];
      symbols[i] = this.#merged[rank]!;
      symbols[right] = MERGED;
      next[i] = next[right]!;
      if (next[i] < n) previous[next[i]] = i;
      if (previous[i] >= 0) consider(previous[i]);
      consider(i);
    }
    return symbols.filter((id) => id !== MERGED);
  }
}

/** Marks the right half of a joined pair. */
const MERGED = -1;

function shortMark(fields: Fields, name: string): string {
  const mark = fields.string(name, '');
  return mark.length <= MAX_MARK ? mark : fields.fail(name, `a string of at most ${MAX_MARK} characters`);
}

function halves(fields: Fields, merge: unknown, rank: number): readonly string[] {
  const given: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
  const parts = Array.isArray(given) && given.length === 2 ? Array.from<unknown>(given) : [];
  if (parts.length === 2 && parts.every((half) => typeof half === 'string')) return parts;
  throw new TokenizerError(`${fields.path}: expected merge ${rank} to be "a b" or ["a", "b"], got ${showValue(merge)}`);
}

class MinHeap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let i = items.push(item) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && items[parent] > item; parent = (i - 1) >> 1) {
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
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
