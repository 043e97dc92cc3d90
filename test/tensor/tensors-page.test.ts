import { readFileSync } from 'node:fs';
import { format } from 'node:util';
import { compileFunction } from 'node:vm';
import { expect, it } from 'vitest';
import * as vitrine from '../../src/index.ts';

const page = readFileSync(new URL('../../docs/tensors.md', import.meta.url), 'utf8');
const { cases } = JSON.parse(readFileSync(new URL('../fixtures/tensor/numpy-cases.json', import.meta.url), 'utf8')) as {
  cases: { ours: string; numpy: string }[];
};

it('docs/tensors.md shows only pairs that are held to numpy', () => {
  const rows = [...page.matchAll(/^\| `(.*?)` \| `(.*?)` \|$/gm)].map(([, ours, numpy]) => `${ours} is ${numpy}`);
  expect(rows.length).toBeGreaterThan(40);
  expect(cases.map(({ ours, numpy }) => `${ours} is ${numpy}`)).toEqual(expect.arrayContaining(rows));
});

it('docs/tensors.md has programs that print what it says', () => {
  const programs = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, program]) => program).join('');
  const expected = [...programs.matchAll(/^(?:.*console\.log.*; )?\/\/ (.*)$/gm)].map(([, text]) => text);
  const printed: string[] = [];
  const code = programs.replaceAll(/^import (\{.*\}) from 'vitrine';$/gm, 'const $1 = vitrine;');
  const run = compileFunction(code, ['vitrine', 'console']) as (library: object, console: object) => void;
  run(vitrine, { log: (...values: unknown[]) => printed.push(format(...values)) });
  expect(printed).toEqual(expected);
});
