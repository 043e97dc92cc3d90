import type { StepBuilder } from '../step-builder.ts';
import { showValue, TokenizerError, type Fields } from '../json-fields.ts';
import { byteTokens } from './byte-tokens.ts';
import { checkToken } from '../size-limits.ts';
import { Trie } from '../trie.ts';
import type { Model } from './tokenizer-model.ts';

/** The score of an unknown character is the lowest score of a token less this. */
const UNKNOWN_PENALTY = 10;
/** UTF-16 units. With tokens up to this length, the time is linear in the length of a word. */
const SHORT_TOKEN = 64;

/** Characters of all tokens; published vocabularies have a quarter of a million tokens of six characters. */
const MAX_CHARACTERS = 2 ** 23;

/**
 * The Unigram model: cuts a word into the tokens whose scores have the highest sum, by dynamic programming from left to
 * right; the first of equals. Adjacent unknown characters become one unknown token, or the byte tokens of all of them.
 *
 * Source: `encode_optimized` in models/unigram/model.rs of the Rust crate `tokenizers`.
 */
export class Unigram implements Model {
  readonly vocab: ReadonlyMap<string, number>;
  readonly #fields: Fields;
  readonly #scores: Float64Array;
  readonly #trie = new Trie<number>();
  readonly #unknown: number | undefined;
  readonly #unknownScore: number;
  readonly #fallsBackOnBytes: boolean;

  constructor(fields: Fields, builder: StepBuilder) {
    const entries = fields.list('vocab');
    this.#fields = fields;
    this.#scores = new Float64Array(entries.length);
    const vocab = new Map<string, number>();
    let longest = 0;
    for (const [id, entry] of entries.entries()) {
      const [token, score] = pair(fields, entry, id);
      vocab.set(token, id);
      this.#scores[id] = score;
      longest = Math.max(longest, token.length);
      this.#trie.set(codePoints(token), id);
      if (this.#trie.size > MAX_CHARACTERS) fields.fail('vocab', `a list of at most ${MAX_CHARACTERS} characters`);
    }
    if (longest > SHORT_TOKEN) builder.isLinear = false;
    this.vocab = vocab;
    this.#unknown = fields.has('unk_id') ? fields.integer('unk_id', 0, entries.length - 1) : undefined;
    this.#fallsBackOnBytes = fields.boolean('byte_fallback', false);
    this.#unknownScore = this.#scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
  }

  encode(word: string): readonly number[] {
    const chars = codePoints(word);
    const { starts, ids } = this.#bestPath(chars);
    const tokens: number[][] = [];
    for (let end = chars.length; end > 0;) {
      let start = starts[end];
      // The id may also come from the spelling of the unknown token in the text.
      const isUnknown = ids[end] === this.#unknown;
      while (isUnknown && start > 0 && ids[start] === this.#unknown) start = starts[start];
      tokens.push(isUnknown ? this.#unknownTokens(textOf(chars.slice(start, end))) : [ids[end]]);
      end = start;
    }
    return tokens.reverse().flat();
  }

  /** By end position: the start and id of the last token on the best path to that position. */
  #bestPath(chars: readonly number[]): { starts: Int32Array; ids: Int32Array } {
    const n = chars.length;
    const scores = new Float64Array(n + 1);
    const starts = new Int32Array(n + 1).fill(-1);
    const ids = new Int32Array(n + 1);
    const consider = (start: number, end: number, id: number, score: number) => {
      const total = scores[start] + score;
      if (starts[end] >= 0 && total <= scores[end]) return;
      scores[end] = total;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < n; start++) {
      let isSingleKnown = false;
      let node: number | undefined = 0;
      for (let end = start; end < n;) {
        node = this.#trie.next(node, chars[end++]);
        if (node === undefined) break;
        const id = this.#trie.value(node);
        if (id === undefined) continue;
        consider(start, end, id, this.#scores[id]);
        isSingleKnown ||= end === start + 1;
      }
      if (!isSingleKnown) consider(start, start + 1, this.#unknown ?? this.#fail(), this.#unknownScore);
    }
    return { starts, ids };
  }

  #unknownTokens(text: string): number[] {
    const known = this.vocab.get(text);
    if (known !== undefined) return [known];
    return (this.#fallsBackOnBytes ? byteTokens(this.vocab, text) : undefined) ?? [this.#unknown ?? this.#fail()];
  }

  #fail(): never {
    throw new TokenizerError(
      `${this.#fields.path}: the text has characters that the vocabulary lacks, and unk_id is missing`,
    );
  }
}

const codePoints = (text: string) => Array.from(text, (char) => char.codePointAt(0)!);
/** Maps point by point: spread arguments of a long text would overflow the stack. */
const textOf = (points: readonly number[]) => points.map((point) => String.fromCodePoint(point)).join('');

function pair(fields: Fields, entry: unknown, id: number): [string, number] {
  if (Array.isArray(entry) && entry.length === 2) {
    const [token, score] = entry as unknown[];
    if (typeof token === 'string' && typeof score === 'number') {
      checkToken(`${fields.path}.vocab[${id}]`, token);
      return [token, score];
    }
  }
  throw new TokenizerError(`${fields.path}.vocab[${id}]: expected [token, score], got ${showValue(entry)}`);
}
