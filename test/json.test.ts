import { expect, it } from 'vitest';
import { JsonError, parseJson } from '../src/json.ts';

const errorOf = (text: string): Error => {
  try {
    parseJson(text);
  } catch (error) {
    expect(error).toBeInstanceOf(JsonError);
    return error as Error;
  }
  return expect.fail(`accepted ${text.slice(0, 60)}`);
};

it('reads what json.dumps of Python writes for floats that JSON lacks', () => {
  // json.dumps({'a': float('nan'), 'b': [float('inf'), -float('inf')], 'c': 'NaN, "Infinity"\\', '__proto__': 1, 'é': '😀'})
  const text =
    '{"a": NaN, "b": [Infinity, -Infinity], "c": "NaN, \\"Infinity\\"\\\\", "__proto__": 1, "\\u00e9": "\\ud83d\\ude00"}';
  const value = parseJson(text) as Record<string, unknown>;
  expect(Object.entries(value)).toEqual([
    ['a', NaN],
    ['b', [Infinity, -Infinity]],
    ['c', 'NaN, "Infinity"\\'],
    ['__proto__', 1],
    ['é', '😀'],
  ]);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
});

/** What `json.loads` of Python 3.11 makes of texts around the border between the two parsers. */
const READ: readonly (readonly [string, unknown])[] = [
  ['NaN', NaN],
  ['-Infinity', -Infinity],
  ['Infinity', Infinity],
  ['{"a":NaN,"a":2}', { a: 2 }],
  ['[NaN,1e5,-1E-2,2.5e+3]', [NaN, 100000.0, -0.01, 2500.0]],
  ['[NaN,1e999]', [NaN, Infinity]],
  ['[NaN,"\\ud800"]', [NaN, '\ud800']],
  [' \n\t\r[ NaN ] \n', [NaN]],
  ['[NaN,true,false,null,"",{},[],{"":[{}]}]', [NaN, true, false, null, '', {}, [], { '': [{}] }]],
  ['[1,2]', [1, 2]],
  ['{"a":1,"a":2}', { a: 2 }],
];
const REFUSED = [
  '+Infinity',
  '-NaN',
  'nan',
  'inf',
  'Infinit',
  'NaN1',
  'NaN,',
  '[NaN',
  '[NaN,]',
  '[NaN 1]',
  '{"a" NaN}',
  '{NaN:1}',
  '{"a":NaN,}',
  '[NaN,01]',
  '[NaN,1.]',
  '[NaN,.5]',
  '[NaN,"\\x"]',
  '[NaN,"\\u12g4"]',
  '[NaN,"a\tb"]',
  '[NaN,"open',
  '[NaN,"\\"]',
  '\u00a0[NaN]',
  '[NaN]x',
  '',
  '[NaN,tru]',
  '\ufeff[]',
];

it('reads and refuses what Python does', () => {
  for (const [text, value] of READ) expect([parseJson(text)], text).toEqual([value]);
  for (const text of REFUSED) errorOf(text);
});

it('says where, and quotes nothing', () => {
  const secret = 'root:x:0:0:root:/root:/bin/bash';
  for (const text of [secret, `{"a": ${secret}}`, `{"a": "${secret}`, `["a" ${secret}]`, `{${secret}`])
    expect(errorOf(text).message).not.toMatch(/root|bash/);
  expect(errorOf('{\n  "a": 1,\n  "b": oops\n}').message).toBe('line 3, column 8: expected a value');
  expect(errorOf('{"a": "x\n"}').message).toBe('line 1, column 9: expected the end of a string');
  expect(errorOf('\ufeff{}').message).toMatch(/byte order mark/);
});

it('bounds nesting, and takes time in proportion to the text', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  expect(parseJson(nested(256))).toHaveLength(1);
  expect(errorOf(nested(257)).message).toBe('line 1, column 257: expected at most 256 levels of nesting');
  expect(parseJson(`["${'['.repeat(1000)}\\""]`)).toHaveLength(1);
  // A parser whose time grew faster than the text would not end before the test's time is over.
  for (const text of [
    '['.repeat(4e6),
    '{"a":'.repeat(1e6),
    `"${'\\'.repeat(4e6)}`,
    '\n'.repeat(4e6),
    `[NaN${',1'.repeat(2e6)}`,
    ' '.repeat(4e6),
  ])
    errorOf(text);
});

it('bounds how many values a text holds, before they take memory', () => {
  for (const item of ['[]', '{}', '0', '""']) {
    const ok = `[${Array<string>(499_999).fill(item).join(',')}]`;
    const isContainer = item === '[]' || item === '{}';
    if (!isContainer) expect(parseJson(ok)).toHaveLength(499_999);
    expect(() => parseJson(`[${`${item},`.repeat(500_001)}0]`)).toThrow('expected at most 500000 values');
  }
  expect(() => parseJson('{"a":1,"b":2}', 1)).toThrow('line 1, column 7: expected at most 1 values');
  expect(parseJson('["a,b,[,{,\\",[,"]', 1)).toEqual(['a,b,[,{,",[,']);
});
