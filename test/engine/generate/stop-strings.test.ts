import { describe, expect, test } from 'vitest';
import { StopStrings } from '../../../src/engine/generate/stop-strings.ts';
import { createRandom } from '../../../src/sampling/random.ts';

/** All that is shown of `pieces`, and the stop string found. */
function show(stops: readonly string[], pieces: Iterable<string>): { text: string; stopped: string | undefined } {
  const stream = new StopStrings(stops);
  let text = '';
  for (const piece of pieces) text += stream.push(piece).text;
  const last = stream.end();
  return { text: text + last.text, stopped: last.stopped };
}

/** By the definition: the stop that ends first, of those that end together the longest. */
function expected(stops: readonly string[], text: string): { text: string; stopped: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops
      .filter((s) => text.slice(0, end).endsWith(s))
      .sort((a, b) => b.length - a.length)
      .at(0);
    if (found !== undefined) return { text: text.slice(0, end - found.length), stopped: found };
  }
  return { text, stopped: undefined };
}

describe('StopStrings', () => {
  test('holds back exactly what may begin a stop string', () => {
    const stream = new StopStrings(['\nUser:', '</s>']);
    expect(stream.push('Hello\nUs')).toEqual({ text: 'Hello' });
    expect(stream.push('ual </')).toEqual({ text: '\nUsual ' });
    expect(stream.push('b> ')).toEqual({ text: '</b> ' });
    expect(stream.push('bye\nUser: x')).toEqual({ text: 'bye', stopped: '\nUser:' });
    expect(stream.push('more')).toEqual({ text: '', stopped: '\nUser:' });
    expect(stream.end()).toEqual({ text: '', stopped: '\nUser:' });
  });

  test('what was held back is shown at the end', () => {
    const stream = new StopStrings(['abc']);
    expect(stream.push('xab')).toEqual({ text: 'x' });
    expect(stream.end()).toEqual({ text: 'ab' });
  });

  test.each([
    ['no stop strings', [], 'abc', 'abc', undefined],
    ['a match after a false start inside itself', ['aab'], 'aaab!', 'a', 'aab'],
    ['the one complete first wins', ['bcde', 'c'], 'abcde', 'ab', 'c'],
    ['of two that end together, the longer', ['b', 'ab'], 'xab', 'x', 'ab'],
    ['a beginning of another does not wait for it', ['abc', 'ab'], 'xabc', 'x', 'ab'],
    ['several code units to a character', ['👩‍🚀'], '👩‍🚒 and 👩‍🚀!', '👩‍🚒 and ', '👩‍🚀'],
    ['the very beginning', ['a'], 'ab', '', 'a'],
  ])('%s', (_, stops, text, shown, stopped) => {
    expect(show(stops, [text])).toEqual({ text: shown, stopped });
    expect(show(stops, text)).toEqual({ text: shown, stopped });
  });

  test('any cutting of any text gives what the definition gives', () => {
    const random = createRandom(7);
    const below = (n: number) => Math.floor(random() * n);
    const word = (length: number) => Array.from({ length }, () => 'ab😀'.at(below(4)) ?? '').join('');
    let found = 0;
    for (let round = 0; round < 3000; round++) {
      const stops = Array.from({ length: 1 + below(3) }, () => word(2 + below(6)));
      const text = word(below(40));
      const pieces: string[] = [];
      for (let i = 0; i < text.length;) pieces.push(text.slice(i, (i += 1 + below(5))));
      const want = expected(stops, text);
      if (want.stopped !== undefined) found++;
      for (const cut of [[text], text.split(''), pieces]) expect(show(stops, cut)).toEqual(want);
    }
    expect(found).toBeGreaterThan(500);
    expect(found).toBeLessThan(2900);
  });

  test('an empty stop string is refused', () => {
    expect(() => new StopStrings(['a', ''])).toThrow(/at least one character, got \["a",""\]/);
  });
});
