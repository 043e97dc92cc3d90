import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compare } from '../../src/bench/run/compare-reports.ts';
import type { Report, Row } from '../../src/bench/run/report.ts';
import { estimate } from '../../src/bench/timing/statistics.ts';
import { runCli } from '../cli/run-cli.ts';
import { modelFolder } from '../support/fixtures.ts';
import { sampleReport, sampleRow } from './sample-report.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-compare-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A row of five processes whose calls take about so many seconds. */
function row(seconds: number, more: Partial<Row> = {}): Row {
  const samples = Array.from({ length: 5 }, (_, p) =>
    Array.from({ length: 30 }, (_, i) => seconds * (1 + 0.002 * p + 0.001 * (i % 7))),
  );
  return sampleRow({ seconds: estimate(samples), samples, ...more });
}

const report = sampleReport;

const verdicts = (before: readonly Row[], after: readonly Row[]) =>
  compare(report(before), report(after)).rows.map(({ verdict }) => verdict);

test('compares the rows that two reports have in common, by their samples', () => {
  expect(verdicts([row(1)], [row(1.2)])).toEqual(['SLOWER']);
  expect(verdicts([row(1)], [row(0.8)])).toEqual(['FASTER']);
  expect(verdicts([row(1)], [row(1.01)])).toEqual(['SAME']);
  const [{ ratio }] = compare(report([row(1)]), report([row(1.2)])).rows;
  expect(ratio!.median).toBeCloseTo(1.2, 3);
});

test('does not count a difference below the noise of either report', () => {
  const noisy = { control: { median: 1, low: 0.75, high: 1.1 } };
  expect(verdicts([row(1)], [row(1.2, noisy)])).toEqual(['UNSURE']);
  expect(verdicts([row(1, noisy)], [row(1.2)])).toEqual(['UNSURE']);
});

test('calls a row that became wrong WRONG, and one that had no time before UNSURE', () => {
  const wrong = { verdict: 'WRONG', seconds: undefined, samples: [] } as const;
  expect(verdicts([row(1)], [row(1, wrong)])).toEqual(['WRONG']);
  expect(verdicts([row(1, wrong)], [row(1)])).toEqual(['UNSURE']);
  expect(verdicts([row(1)], [row(0.1, { verdict: 'UNTRUSTED' })])).toEqual(['UNTRUSTED']);
});

test('lists rows that only one report has', () => {
  const other = row(1, { site: 'down_proj' });
  const { rows, onlyBefore, onlyAfter } = compare(report([row(1)]), report([other]));
  expect(rows).toEqual([]);
  expect(onlyBefore.map(({ site }) => site)).toEqual(['lm_head']);
  expect(onlyAfter.map(({ site }) => site)).toEqual(['down_proj']);
});

describe('vitrine bench compare', () => {
  const file = (name: string, content: Report | string): string => {
    const path = join(folder, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  };
  const before = file('before.json', report([row(1)]));

  test('prints a table or JSON, and exits with 1 for SLOWER and 2 for WRONG', async () => {
    const slower = await runCli(['bench', 'compare', before, file('slower.json', report([row(1.2)]))]);
    expect(slower.code).toBe(1);
    expect(slower.stdout).toMatch(/linear lm_head decode +tensorflow-bf16 +SLOWER +1\.01 s .* 1\.21 s .*\+20\.0%/);
    expect(slower.stderr).toBe('vitrine: bench: 1 SLOWER\n');
    const same = await runCli(['bench', 'compare', before, file('same.json', report([row(1.01)])), '--json']);
    expect(same.code).toBe(0);
    expect((JSON.parse(same.stdout) as { rows: object[] }).rows).toMatchObject([{ verdict: 'SAME' }]);
    const wrong = row(1, { verdict: 'WRONG', seconds: undefined, samples: [] });
    expect((await runCli(['bench', 'compare', before, file('wrong.json', report([wrong]))])).code).toBe(2);
  });

  test('refuses reports of different machines and names the differences, unless --force is given', async () => {
    const other = file('other.json', report([row(1)], { cpu: 'Abacus 2', threads: 4 }));
    const refused = await runCli(['bench', 'compare', before, other]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/cannot be compared: cpu: "Abacus 1" and "Abacus 2"; threads: 2 and 4/);
    expect((await runCli(['bench', 'compare', before, other, '--force'])).code).toBe(0);
  });

  test('refuses a file that is not a report', async () => {
    expect((await runCli(['bench', 'compare', before, file('x.json', '{"rows": 1}')])).stderr).toMatch(
      /x\.json: expected a report of `vitrine bench --json`/,
    );
    expect((await runCli(['bench', 'compare', before, file('y.json', 'no')])).stderr).toMatch(
      /y\.json: .*not valid JSON/,
    );
    expect((await runCli(['bench', 'compare', before, join(folder, 'absent.json')])).stderr).toMatch(/absent\.json/);
  });
});

describe('vitrine bench', () => {
  test('measures kernels, writes a report in every format, and exits with 2 for a wrong kernel', async () => {
    const path = (name: string): string => join(folder, name);
    const { code, stdout, stderr } = await runCli([
      ...[
        'bench',
        'linear',
        '--model',
        modelFolder('llama_gqa_tied'),
        '--site',
        'o_proj',
        '--variants',
        'tensorflow-bf16',
      ],
      ...['--variant', 'bench/trial/baseline.mjs', '--variant', 'bench/trial/wrong.mjs'],
      ...['--warm', '--threads', '1', '--processes', '2', '--max-processes', '2', '--seconds', '0.01'],
      ...['--json', path('r.json'), '--csv', path('r.csv'), '--markdown', path('r.md'), '--svg', path('r.svg')],
    ]);
    expect(stderr).toMatch(/vitrine: bench: .*1 WRONG/);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^ {2}wrong +WRONG +row 0, column 21: expected .*, got /m);
    expect(stdout).toMatch(/WebAssembly linearBf16/);
    expect(stdout).toMatch(/by these ops; the model itself: [\d.]+ tok\/s/);
    const written = JSON.parse(readFileSync(path('r.json'), 'utf8')) as Report;
    expect(written.rows.map(({ variant }) => variant)).toEqual(['tensorflow-bf16', 'baseline', 'wrong']);
    expect(written.rows[2]).not.toHaveProperty('seconds');
    expect(written.rows[0].samples.length).toBe(2);
    for (const { memory, cache, flops } of written.limits) expect(Math.min(memory, cache, flops)).toBeGreaterThan(0);
    const csv = readFileSync(path('r.csv'), 'utf8').split('\r\n');
    expect(csv.length).toBe(1 + 3 + 1);
    expect(csv[3]).toMatch(/^linear,llama_gqa_tied,.*,wrong,.*,WRONG,,,,/);
    expect(readFileSync(path('r.md'), 'utf8')).toMatch(/^\| wrong \| WRONG \|/m);
    expect(readFileSync(path('r.svg'), 'utf8')).toMatch(/^<svg .*<text .*>WRONG<\/text>/s);
    expect((await runCli(['bench', 'compare', path('r.json'), path('r.json')])).code).toBe(2);
  }, 180_000);

  test('refuses unknown suites, variants, inputs, baselines and shapes before it measures', async () => {
    const error = async (...args: string[]) => (await runCli(['bench', ...args, '-m', modelFolder('gpt2')])).stderr;
    expect(await error('conv')).toMatch(/there is no suite "conv"\. Choose rms-norm, linear/);
    expect(await error('swiglu')).toMatch(/no case is left of swiglu/);
    expect(await error('linear', '--variants', 'gpu')).toMatch(/there is no variant "gpu"/);
    expect(await error('linear', '--inputs', 'zeros')).toMatch(/Expected normal, outliers, denormal, recorded/);
    expect(await error('linear', '--baseline', 'mine')).toMatch(/--baseline mine is none of .*tensorflow-bf16/);
    expect(await error('linear', '--shape', 'train')).toMatch(/expected decode/);
  });
});
