import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type ModelReport, modelRows } from '../../src/bench/model/model-bench.ts';
import { BACKEND_NAMES } from '../../src/tensor/backends.ts';
import { modelCsv, modelMarkdown, modelTable } from '../../src/bench/model/model-report.ts';
import { modelFolder } from '../support/fixtures.ts';
import { runCli } from '../cli/run-cli.ts';

const SOURCE = modelFolder('llama_gqa_tied');
const folder = mkdtempSync(join(tmpdir(), 'vitrine-bench-model-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Bytes per second. */
const memory = 1000;
const figures = (decode: readonly number[], firstToken: number) => ({
  backend: 'tensorflow',
  weightBytes: 200,
  load: 0.5,
  launch: 1.25,
  peakMemory: 3e9,
  firstToken,
  decode,
});
const rows = modelRows(
  {
    spec: { source: 'm', backend: 'auto', weights: 'auto', pp: 10, tg: 8, depths: [0, 64] },
    dtype: 'bf16',
    bytesPerToken: 100,
    figures: [figures([2, 4], 5), figures([4, 8], 2), figures([1, 2], 4)],
  },
  memory,
);

describe('the rows of a model', () => {
  it('are medians over processes, for prefill and decoding as tokens per second', () => {
    expect(rows.map(({ test, tokens, depth, unit, value }) => [test, tokens, depth, value.median, unit])).toEqual([
      ['prefill', 10, 0, 2.5, 'tok/s'],
      ['decode', 8, 0, 4, 'tok/s'],
      ['decode', 8, 64, 2, 'tok/s'],
      ['first token', 10, 0, 4, 's'],
      ['launch to first token', 10, 0, 1.25, 's'],
      ['load', 0, 0, 0.5, 's'],
      ['peak memory', 10, 0, 3, 'GB'],
    ]);
    expect(rows[0].samples).toEqual([2, 5, 2.5]);
    for (const { value, samples } of rows) {
      expect(value.low).toBeGreaterThanOrEqual(Math.min(...samples));
      expect(value.high).toBeLessThanOrEqual(Math.max(...samples));
    }
  });

  it('give decoding as a part of the rate at which memory delivers the weights', () => {
    // 1,000 bytes per second suffice for 10 tokens of 100 bytes.
    expect(rows.map(({ attained }) => attained)).toEqual([undefined, 0.4, 0.2, ...Array<undefined>(4).fill(undefined)]);
  });

  it('are written as a table, as Markdown and as CSV', () => {
    const fingerprint = { cpu: 'C', backends: {}, load: 0, date: 'D' };
    const report = { model: 'a,b', repetitions: 3, memory, rows, fingerprint } as unknown as ModelReport;
    expect(modelTable(report)).toMatch(
      /tensorflow {2}auto \(bf16\) {2}decode 8 behind 64 +2\.0 +[\d.]+ +[\d.]+ +tok\/s {2}20%/,
    );
    expect(modelMarkdown(report)).toMatch(/\| tensorflow \| auto \(bf16\) \| launch to first token \(10\) \| 1\.25 \|/);
    const lines = modelCsv(report).split('\r\n');
    expect(lines).toHaveLength(rows.length + 2);
    expect(lines[3]).toMatch(/^"a,b",tensorflow,auto,bf16,200,decode,8,64,2,[\d.]+,[\d.]+,tok\/s,0\.2$/);
  });
});

describe('vitrine bench model', () => {
  it('measures each backend and weight format in processes of their own, and writes a report in every format', async () => {
    const file = (name: string): string => join(folder, name);
    const { code, stdout, stderr } = await runCli([
      ...['bench', 'model', SOURCE, '--pp', '6', '--tg', '3', '--depth', '0,5', '-r', '1', '--threads', '1'],
      ...['--backend', 'reference', '--weights', 'f32,bf16'],
      ...['--json', file('m.json'), '--markdown', file('m.md'), '--csv', file('m.csv')],
    ]);
    expect(stderr).toContain('reference, bf16: process 1 of 1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/reference {2}f32 +decode 3 behind 5 /);
    const report = JSON.parse(readFileSync(file('m.json'), 'utf8')) as ModelReport;
    expect(report).toMatchObject({ format: 'vitrine-bench-model', version: 1, model: SOURCE, repetitions: 1 });
    expect(report.fingerprint.node).toBe(process.version);
    expect(report.rows).toHaveLength(2 * 7);
    for (const { value, samples } of report.rows) {
      expect(samples).toEqual([value.median]);
      expect(value.median).toBeGreaterThan(0);
    }
    expect(new Set(report.rows.map(({ backend, weights, dtype }) => `${backend} ${weights} ${dtype}`))).toEqual(
      new Set(['reference f32 f32', 'reference bf16 bf16']),
    );
    expect(readFileSync(file('m.md'), 'utf8')).toContain('| reference | f32 | prefill 6 |');
    expect(readFileSync(file('m.csv'), 'utf8').split('\r\n')).toHaveLength(2 * 7 + 2);
  });

  it.each([
    [
      ['--backend', 'tensorflow,gpu'],
      `option '--backend <list>' argument 'tensorflow,gpu' is invalid. Expected auto, ${BACKEND_NAMES.join(', ')}.`,
    ],
    [['--weights', 'q9'], "option '--weights <list>' argument 'q9' is invalid. Expected auto, f32, bf16."],
    [['--depth', '0,-1'], "option '--depth <list>' argument '0,-1' is invalid. Expected a whole number from 0."],
    [['--pp', '0'], "option '--pp <n>' argument '0' is invalid. Expected a whole number from 1."],
    [['-r', 'x'], "option '-r, --repetitions <n>' argument 'x' is invalid. Expected a whole number from 1."],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await runCli(['bench', 'model', SOURCE, ...args]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `vitrine: ${message}\n` });
  });

  it('refuses a model that does not exist', async () => {
    const { code, stderr } = await runCli(['bench', 'model', join(folder, 'nothing')]);
    expect(code).toBe(1);
    expect(stderr).toBe(`vitrine: ${join(folder, 'nothing')}: no such folder.\n`);
  });
});
