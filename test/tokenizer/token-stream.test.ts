import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DecodeStream } from '../../src/tokenizer/token-stream.ts';
import { loadTokenizer } from '../../src/loader/folder/load-tokenizer.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';

const loaded = new Map<string, Promise<Tokenizer>>();
/** A tokenizer of the fixtures, loaded once. */
function load(name: string): Promise<Tokenizer> {
  let tokenizer = loaded.get(name);
  if (!tokenizer) {
    tokenizer = loadTokenizer(new URL(`../fixtures/tokenizers/${name}`, import.meta.url).pathname);
    loaded.set(name, tokenizer);
  }
  return tokenizer;
}

/** Numerical Recipes' linear congruential generator: the same texts in every run. */
function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const PIECES = [
  ...['a', 'the ', ' ', '  ', '\n', '\t', '0', '١', '½', "'s", '<', '|', '<|im_start|>', '</s>', '<s>', '▁', 'Ġ'],
  ...['é', 'e\u0301', 'ß', '漢字', '한', 'ก็', '👩‍💻', '👨‍👩‍👧', '🇩🇪'],
  ...['\u200d', '\ufe0f', '\ufeff', '\u0085', '\u00a0', '\ufffd'],
  ...['\ud83d', '\ude00', '\u{10ffff}', '\0'],
];

describe.each(['bpe_chatml', 'bpe_llama3', 'metaspace_gemma', 'metaspace_llama2', 'metaspace_pre', 'smollm2'])(
  '%s',
  async (name) => {
    const tokenizer = await load(name);

    it.each([false, true])(
      'streams the text that decode returns, for random texts (skipSpecialTokens: %s)',
      (skipSpecialTokens) => {
        const next = random(7);
        for (let i = 0; i < 300; i++) {
          const text = Array.from({ length: next(12) }, () => PIECES[next(PIECES.length)]).join('');
          const ids = tokenizer.encode(text);
          const stream = tokenizer.stream({ skipSpecialTokens });
          const pieces = ids.map((id) => stream.push(id));
          pieces.push(stream.end());
          expect(pieces.join(''), JSON.stringify(text)).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
        }
      },
    );

    it('decodes encoded text to itself', () => {
      const next = random(11);
      // Normalisation (NFC) and tokens that strip white space change texts by design.
      const pieces = PIECES.filter((piece) => !/\p{Surrogate}|\u0301|[<|▁]/u.test(piece));
      for (let i = 0; i < 300; i++) {
        // A leading space cannot be told from the one that SentencePiece prepends.
        const text = Array.from({ length: next(12) }, () => pieces[next(pieces.length)])
          .join('')
          .trimStart();
        expect(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false }))).toBe(text);
      }
    });
  },
);

const FIXTURES = readdirSync(new URL('../fixtures/tokenizers', import.meta.url));

describe.each(FIXTURES)('a stream that continues a text: %s', async (name) => {
  const tokenizer = await load(name);

  it.each([false, true])(
    'adds up to the text that decode returns for all ids (skipSpecialTokens: %s)',
    (skipSpecialTokens) => {
      const next = random(3);
      const decode = (ids: number[]) => tokenizer.decode(ids, { skipSpecialTokens });
      let spaces = 0;
      for (let i = 0; i < 60; i++) {
        const text = Array.from({ length: 1 + next(8) }, () => PIECES[next(PIECES.length)]).join('');
        const ids = tokenizer.encode(text, { addSpecialTokens: i % 2 === 0 });
        const prefixes = Array.from({ length: ids.length + 1 }, (_, at) => decode(ids.slice(0, at)));
        for (let at = 0; at <= ids.length; at++) {
          const stream = tokenizer.stream({ skipSpecialTokens, after: ids.slice(0, at) });
          const added = ids.slice(at).map((id) => stream.push(id));
          added.push(stream.end());
          const [before, whole] = [prefixes[at], prefixes[ids.length]];
          // If the first text ends within a character, with U+FFFD, the stream returns the whole character.
          const shown = whole.startsWith(before)
            ? 0
            : [1, 2, 3].find((n) => n <= at && whole.startsWith(prefixes[at - n]));
          const kept = shown === undefined ? '' : prefixes[at - shown];
          expect(kept + added.join(''), JSON.stringify([text, at])).toBe(whole);
          if (at > 0 && added[0]?.startsWith(' ')) spaces++;
        }
      }
      expect(spaces).toBeGreaterThan(0);
    },
  );
});

describe('a stream of many tokens', () => {
  it.each([
    ['letters', 'a', 'a'],
    ['bytes that are never a character', '\u0122', '\ufffd'],
    ['replacement characters in the text', 'ï¿½', '\ufffd'],
  ])('decodes only short windows: %s', async (_, token, text) => {
    const tokens = Array.from(token);
    let longest = 0;
    const decoder = await load('bpe_llama3');
    const stream = new DecodeStream(
      (window) => {
        longest = Math.max(longest, window.length);
        return decoder.decode(window.map((each) => decoder.idOf(each)!));
      },
      (id) => tokens[id % tokens.length],
    );
    const count = 3000;
    let shown = '';
    for (let id = 0; id < count * tokens.length; id++) shown += stream.push(id);
    expect(shown + stream.end()).toBe(text.repeat(count));
    expect(longest).toBeLessThan(200);
  });

  it('continues after its end was asked for', async () => {
    const tokenizer = await load('metaspace_llama2');
    const stream = tokenizer.stream();
    const whole = tokenizer.encode('hello world', { addSpecialTokens: false });
    const hello = tokenizer.encode('hello', { addSpecialTokens: false });
    const world = whole.slice(hello.length);
    const push = (ids: number[]) => ids.map((id) => stream.push(id)).join('');
    expect(push(hello) + stream.end() + stream.end() + push(world)).toBe('hello world');
  });

  it('returns each byte once when a later byte invalidates earlier ones', async () => {
    const tokenizer = await load('metaspace_llama2');
    const ids = ['<0x41>', '<0xFF>', '▁x'].map((token) => tokenizer.idOf(token) ?? NaN);
    const stream = tokenizer.stream();
    expect(ids.map((id) => stream.push(id))).toEqual(['A', '', '\ufffd x'].slice(0, ids.length));
    expect(stream.end()).toBe('');
  });
});
