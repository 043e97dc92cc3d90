import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compare } from '../../src/bench/compare.ts';
import type { Fingerprint } from '../../src/bench/fingerprint.ts';
import type { Report, Row } from '../../src/bench/report.ts';
import { estimate } from '../../src/bench/statistics.ts';
import { runCli } from '../cli/run-cli.ts';
import { modelFolder } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-compare-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const FINGERPRINT: Fingerprint = {
  cpu: 'Abacus 1',
  platform: 'linux-x64',
  cores: 2,
  instructions: ['avx2'],
  memory: 8e9,
  lastCache: 2 ** 25,
  node: 'v20.20.2',
  v8: '11.3',
  flags: [],
  threads: 2,
  backends: { tensorflow: 'TensorFlow 2.21.0 on CPU' },
  environment: {},
  model: 'abc',
  vitrine: '0.1.0',
  date: '2026-01-01T00:00:00.000Z',
  load: 0,
};

/** A row of five processes whose calls take about so many seconds. */
function row(seconds: number, more: Partial<Row> = {}): Row {
  const samples = Array.from({ length: 5 }, (_, p) =>
    Array.from({ length: 30 }, (_, i) => seconds * (1 + 0.002 * p + 0.001 * (i % 7))),
  );
  return {
    suite: 'linear',
    model: 'm',
    site: 'lm_head',
    phase: 'decode',
    sizes: { T: 1, K: 2, N: 3 },
    inputs: 'normal',
    cold: true,
    calls: 1,
    variant: 'tensorflow-bf16',
    weights: 'bf16',
    stored: 'bf16',
    compute: 'f32',
    kernels: ['WebAssembly linearBf16'],
    check: { ok: true, reason: '', worst: { ofAllowed: 0, ofRow: 0 }, nmse: 0, rowsChecked: 1 },
    verdict: 'BASE',
    seconds: estimate(samples),
    ratio: undefined,
    minEffect: 0.05,
    control: { median: 1, low: 0.99, high: 1.01 },
    flops: 12,
    bytes: 12,
    attained: 0.5,
    taken: 0,
    outliers: 0,
    pauses: { any: 0, major: 0 },
    compiled: undefined,
    samples,
    command: 'vitrine bench linear',
    ...more,
  };
}

const report = (rows: readonly Row[], more: Partial<Fingerprint> = {}): Report => ({
  format: 'vitrine-bench',
  version: 1,
  fingerprint: { ...FINGERPRINT, ...more },
  limits: [],
  overhead: { sample: 1e-7, call: 1e-9 },
  rows,
  predictions: [],
});

const verdicts = (before: readonly Row[], after: readonly Row[]) =>
  compare(report(before), report(after)).rows.map(({ verdict }) => verdict);

test('the same rows are compared, by their samples', () => {
  expect(verdicts([row(1)], [row(1.2)])).toEqual(['SLOWER']);
  expect(verdicts([row(1)], [row(0.8)])).toEqual(['FASTER']);
  expect(verdicts([row(1)], [row(1.01)])).toEqual(['SAME']);
  const [{ ratio }] = compare(report([row(1)]), report([row(1.2)])).rows;
  expect(ratio!.median).toBeCloseTo(1.2, 3);
});

test('what is less than the noise of either report does not count', () => {
  const noisy = { control: { median: 1, low: 0.75, high: 1.1 } };
  expect(verdicts([row(1)], [row(1.2, noisy)])).toEqual(['UNSURE']);
  expect(verdicts([row(1, noisy)], [row(1.2)])).toEqual(['UNSURE']);
});

test('a row that became wrong is WRONG, and one without a time before is UNSURE', () => {
  const wrong = { verdict: 'WRONG', seconds: undefined, samples: [] } as const;
  expect(verdicts([row(1)], [row(1, wrong)])).toEqual(['WRONG']);
  expect(verdicts([row(1, wrong)], [row(1)])).toEqual(['UNSURE']);
  expect(verdicts([row(1)], [row(0.1, { verdict: 'UNTRUSTED' })])).toEqual(['UNTRUSTED']);
});

test('rows that only one report has are told', () => {
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

  test('prints a table; the exit code is the gate', async () => {
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

  test('unlike machines are refused unless told, with what differs', async () => {
    const other = file('other.json', report([row(1)], { cpu: 'Abacus 2', threads: 4 }));
    const refused = await runCli(['bench', 'compare', before, other]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/cannot be compared: cpu: "Abacus 1" and "Abacus 2"; threads: 2 and 4/);
    expect((await runCli(['bench', 'compare', before, other, '--force'])).code).toBe(0);
  });

  test('another file is refused', async () => {
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
  test('measures, writes every form, and exits with 2 for a wrong kernel', async () => {
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
      ...['--variant', 'bench/trial/kernel.mjs', '--variant', 'bench/trial/wrong.mjs'],
      ...['--warm', '--processes', '2', '--max-processes', '2', '--seconds', '0.02'],
      ...['--json', path('r.json'), '--csv', path('r.csv'), '--markdown', path('r.md'), '--svg', path('r.svg')],
    ]);
    expect(stderr).toMatch(/vitrine: bench: .*1 WRONG/);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^ {2}wrong +WRONG +row 0, column 21: expected .*, got /m);
    expect(stdout).toMatch(/WebAssembly linearBf16/);
    expect(stdout).toMatch(/by these ops; the model itself: [\d.]+ tok\/s/);
    const written = JSON.parse(readFileSync(path('r.json'), 'utf8')) as Report;
    expect(written.rows.map(({ variant }) => variant)).toEqual(['tensorflow-bf16', 'kernel', 'wrong']);
    expect(written.rows[2]).not.toHaveProperty('seconds');
    expect(written.rows[0].samples.length).toBe(2);
    expect(written.limits.map(({ memory, cache, flops }) => Math.min(memory, cache, flops) > 1e8)).not.toContain(false);
    const csv = readFileSync(path('r.csv'), 'utf8').split('\r\n');
    expect(csv.length).toBe(1 + 3 + 1);
    expect(csv[3]).toMatch(/^linear,llama_gqa_tied,.*,wrong,.*,WRONG,,,,/);
    expect(readFileSync(path('r.md'), 'utf8')).toMatch(/^\| wrong \| WRONG \|/m);
    expect(readFileSync(path('r.svg'), 'utf8')).toMatch(/^<svg .*<text .*>WRONG<\/text>/s);
    // The report is what compare reads.
    expect((await runCli(['bench', 'compare', path('r.json'), path('r.json')])).code).toBe(2);
  }, 180_000);

  test('mistakes are told before anything is measured', async () => {
    const error = async (...args: string[]) => (await runCli(['bench', ...args, '-m', modelFolder('gpt2')])).stderr;
    expect(await error('conv')).toMatch(/there is no suite "conv"\. Choose rms-norm, linear/);
    expect(await error('swiglu')).toMatch(/no case is left of swiglu/);
    expect(await error('linear', '--variants', 'gpu')).toMatch(/there is no variant "gpu"/);
    expect(await error('linear', '--inputs', 'zeros')).toMatch(/Expected normal, outliers, denormal, recorded/);
    expect(await error('linear', '--baseline', 'mine')).toMatch(/--baseline mine is none of tensorflow-bf16/);
    expect(await error('linear', '--shape', 'train')).toMatch(/expected decode/);
  });
});
