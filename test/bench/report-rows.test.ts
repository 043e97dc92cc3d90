import { expect, test } from 'vitest';
import type { CaseResult, VariantResult } from '../../src/bench/cases/case-spec.ts';
import type { CaseRun } from '../../src/bench/run/case-runs.ts';
import { chosenVariants } from '../../src/bench/run/chosen-variants.ts';
import { isOpen, rowsOf } from '../../src/bench/run/report-rows.ts';
import type { RunOptions } from '../../src/bench/run/run-options.ts';
import { readShapes } from '../../src/bench/subject/model-shapes.ts';
import { parsePhase } from '../../src/bench/subject/phase.ts';
import { suiteOf } from '../../src/bench/suites/all-suites.ts';
import type { Case } from '../../src/bench/suites/suite.ts';
import { VARIANT_NAMES } from '../../src/bench/variants/engine-variants.ts';
import { BACKEND_NAMES, isReference } from '../../src/tensor/backends.ts';
import { modelFolder } from '../support/fixtures.ts';

const model = await readShapes(modelFolder('gpt_oss_mxfp4'));
const OPTIONS: RunOptions = { suites: ['linear'], models: ['m'] };
const LIMITS = { threads: 1, memory: 1e9, cache: 1e9, flops: 1e9, product: 'plain loops' };
const BLOCKS = 20;

/** A lane of blocks whose cells take about so many seconds. */
const times = (name: string, seconds: number) => ({
  name,
  cells: Array.from({ length: 2 * BLOCKS }, (_, i) => seconds * (1 + 0.001 * (i % 7))),
  outliers: 1,
  samples: 100,
  pauses: { any: 2, major: 1 },
  compiled: undefined,
});

const variant = (name: string, seconds: number | undefined): VariantResult => ({
  name,
  weights: 'f32',
  compute: 'f32',
  bytes: { read: 1000, rest: 500 },
  kernels: [name],
  copies: 1,
  check: {
    ok: seconds !== undefined,
    reason: seconds === undefined ? 'row 0' : '',
    worst: { ofAllowed: 0, ofRow: 0 },
    nmse: 0,
    rowsChecked: 1,
  },
  times: seconds === undefined ? undefined : times(name, seconds),
});

/** A run in three processes of variants that take so many seconds (undefined: a wrong result). `control` is the ratio of the control to the baseline. */
function runOf(seconds: Record<string, number | undefined>, control = 1): CaseRun {
  const names = Object.keys(seconds);
  const result = (): CaseResult => ({
    variants: names.map((name) => variant(name, seconds[name])),
    control: times('control', control * (seconds[names[0]] ?? 1)),
  });
  const variants = names.map((name) => ({ name, file: `${name}.mjs` }));
  return {
    model,
    phase: parsePhase('decode'),
    calls: 3,
    spec: {
      ...{ suite: 'linear', site: 'here', sizes: { T: 1, K: 100, N: 10 }, stored: 'f32', variants, seed: 1 },
      ...{ distribution: 'normal', recording: undefined, coldBytes: 0, milliseconds: 1, precision: 1 },
      threads: undefined,
    },
    results: [result(), result(), result()],
  };
}

const verdictsOf = (run: CaseRun): Record<string, string> =>
  Object.fromEntries(rowsOf(run, OPTIONS, LIMITS).map((row) => [row.variant, row.verdict]));

test('a variant is compared with the baseline, and one with a wrong result has no time', () => {
  const run = runOf({ base: 1, slower: 1.2, faster: 0.8, same: 1.01, wrong: undefined });
  expect(verdictsOf(run)).toEqual({ base: 'BASE', slower: 'SLOWER', faster: 'FASTER', same: 'SAME', wrong: 'WRONG' });
  const rows = rowsOf(run, OPTIONS, LIMITS);
  expect(rows[1].ratio!.median).toBeCloseTo(1.2, 9);
  expect(rows[0].seconds!.median).toBeCloseTo(1.003, 9);
  expect(rows[4]).toMatchObject({ seconds: undefined, ratio: undefined, samples: [], check: { reason: 'row 0' } });
  expect(rows[0]).toMatchObject({ taken: 300, outliers: 3, pauses: { any: 6, major: 3 }, calls: 3, bytes: 1500 });
  expect(isOpen(run, OPTIONS)).toBe(false);
});

test('a difference below the noise of the baseline against itself is UNSURE, so that another process is started', () => {
  const run = runOf({ base: 1, slower: 1.2 }, 1.3);
  expect(verdictsOf(run)).toEqual({ base: 'BASE', slower: 'UNSURE' });
  expect(isOpen(run, OPTIONS)).toBe(true);
});

test('without a right baseline, nothing can be compared', () => {
  expect(verdictsOf(runOf({ base: undefined, other: 1 }))).toEqual({ base: 'WRONG', other: 'UNSURE' });
});

test('a time that the machine cannot reach is UNTRUSTED', () => {
  // 2,000 operations at 1e9 a second take 2 us.
  expect(verdictsOf(runOf({ base: 1e-6, other: 4e-6 }))).toEqual({ base: 'UNTRUSTED', other: 'SLOWER' });
  const [, { attained }] = rowsOf(runOf({ base: 1e-6, other: 4e-6 }), OPTIONS, LIMITS);
  expect(attained).toBeCloseTo(0.5, 2);
});

test('a row has the command that measures it again', () => {
  const options = { ...OPTIONS, files: ['a b.mjs'], minEffect: 0.1, threads: 2, cold: false };
  const [{ command }] = rowsOf(runOf({ base: 1 }), options, LIMITS);
  expect(command).toBe(
    `vitrine bench linear --model ${model.source} --shape decode --site here --inputs normal --baseline base --variant 'a b.mjs' --min-effect 10 --threads 2 --warm`,
  );
});

const namesOf = (suite: string, one: Case, options: Partial<RunOptions> = {}): string[] =>
  chosenVariants(suiteOf(suite), one, options).map(({ name }) => name);
const casesOf = (suite: string): readonly Case[] => suiteOf(suite).cases(model, parsePhase('decode'));

test('the variants of an op are those of every backend but the reference', () => {
  const compared = BACKEND_NAMES.filter((name) => !isReference(name));
  const [experts] = casesOf('experts');
  expect(namesOf('experts', experts)).toEqual(
    compared.flatMap((name) => [`${name}-mxfp4`, `${name}-bf16`, `${name}-f32`]),
  );
  const [norm] = casesOf('rms-norm');
  expect(namesOf('rms-norm', norm)).toEqual(compared);
  expect(namesOf('rms-norm', norm, { variants: [...BACKEND_NAMES] })).toEqual(BACKEND_NAMES);
  expect(VARIANT_NAMES.filter((name) => BACKEND_NAMES.some((backend) => backend === name))).toEqual(BACKEND_NAMES);
});

test('a variant in codes stands for the stored format where a matrix has no codes', () => {
  const head = casesOf('linear').find(({ site }) => site === 'lm_head')!;
  expect(namesOf('linear', head, { variants: ['tensorflow-mxfp4'] })).toEqual(['tensorflow-bf16']);
  const [norm] = casesOf('rms-norm');
  expect(namesOf('rms-norm', norm, { variants: ['tensorflow-mxfp4'] })).toEqual(['tensorflow']);
});

test('the baseline comes first, and a file may be one', () => {
  const head = casesOf('linear').find(({ site }) => site === 'lm_head')!;
  expect(namesOf('linear', head, { variants: ['tensorflow'], baseline: 'reference' })).toEqual([
    'reference',
    'tensorflow-bf16',
    'tensorflow-f32',
  ]);
  const files = ['a/mine.mjs', 'b/mine.mjs'];
  expect(namesOf('linear', head, { files, variants: ['none'], baseline: 'b/mine.mjs' })).toEqual([files[1], files[0]]);
});
