import { MAX_ID, showValue, TokenizerError, type Fields } from '../json-fields.ts';
import { MAX_ENTRIES } from '../size-limits.ts';
import { byteTokens } from './byte-tokens.ts';
import type { Model } from './tokenizer-model.ts';
import { unknownId } from './word-level.ts';

/** UTF-16 units. Longer words rarely occur twice and are not cached. */
const MAX_CACHED_LENGTH = 64;
const CACHE_SIZE = 16_384;

/** UTF-16 units of a prefix or suffix that marks parts of words: `##`, `</w>`. */
const MAX_MARK = 64;

const PAIR = MAX_ID;
const POSITION = 2 ** 31;

/**
 * Byte pair encoding. Starts with the characters of a word and repeatedly merges the adjacent pair of lowest rank, the
 * leftmost of equals, until no pair has a merge. A priority queue keeps the time at O(n log n) for a word of n characters.
 * Dropout, which is for training, is not applied.
 */
export class Bpe implements Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** The rank of each merge, by its pair of ids: `left * PAIR + right`. */
  readonly #ranks = new Map<number, number>();
  /** The id that each merge makes, by rank. */
  readonly #merged: Int32Array;
  readonly #fields: Fields;
  readonly #unknown: string | undefined;
  /** Prepended to every character of a word except the first. */
  readonly #continuingPrefix: string;
  /** Appended to the last character of a word. */
  readonly #endSuffix: string;
  readonly #fusesUnknown: boolean;
  readonly #fallsBackOnBytes: boolean;
  /** Whether a word that is in the vocabulary becomes that token, even if the merges would make others. */
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
    // A file of merges begins with a line for its version.
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

  /** The id of each character of a word. Characters outside the vocabulary become byte tokens or the unknown token. */
  #symbols(word: string): number[] {
    const ids: number[] = [];
    // As in the Rust crate, the unknown token is written before the next known character, after byte tokens between them.
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
      // The pair may have been merged or changed since it was queued.
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

/** Takes the place of the right half of a merged pair. */
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
