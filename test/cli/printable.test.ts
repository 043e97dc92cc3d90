import { expect, it } from 'vitest';
import { oneLine, printable } from '../../src/cli/printable.ts';

it.each([
  ['plain, 日本語, 👩‍👩‍👧 and\ttabs\n', 'plain, 日本語, 👩‍👩‍👧 and\ttabs\n'],
  ['\x1b[2J\x1b]0;title\x07', '\ufffd[2J\ufffd]0;title\ufffd'],
  ['seen\rhidden\r\n', 'seenhidden\n'],
  ['\x9b31m\x7f\0', '\ufffd31m\ufffd\ufffd'],
])('%j cannot control a terminal', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

it('prints a message in one line', () => {
  expect(oneLine(' a\n\n  b\r\n\x1bc ')).toBe('a b \ufffdc');
});
