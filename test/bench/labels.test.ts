import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CaseSpec } from '../../src/bench/cases/case-spec.ts';
import { compiledOf } from '../../src/bench/timing/blocks.ts';
import { countPauses } from '../../src/bench/timing/gc-pauses.ts';
import { type MeasuringProcess, startProcess } from '../../src/bench/processes/measuring-process.ts';
import { toCsv } from '../../src/bench/write/csv.ts';
import { toMarkdown } from '../../src/bench/write/markdown.ts';
import { toTable } from '../../src/bench/write/report-table.ts';
import { sampleReport, sampleRow } from './sample-report.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-labels-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('counts the samples that overlap a pause of the garbage collector', () => {
  const spans = [0, 10, 11, 20, 20, 30, 30, 40];
  const pause = (begin: number, end: number, isMajor = false) => ({ begin, end, isMajor });
  expect(countPauses(spans, [])).toEqual({ any: 0, major: 0 });
  expect(countPauses(spans, [pause(10.2, 10.8)]), 'between two samples').toEqual({ any: 0, major: 0 });
  expect(countPauses(spans, [pause(1, 2), pause(3, 4), pause(25, 35, true)])).toEqual({ any: 3, major: 2 });
  expect(countPauses(spans, [pause(50, 60)])).toEqual({ any: 0, major: 0 });
});

test('counts a change from optimised code to code that is not as a deoptimisation', () => {
  const tiers = [
    'interpreter',
    'Maglev',
    'TurboFan',
    'Sparkplug',
    'interpreter',
    'TurboFan',
    'interpreter',
    'TurboFan',
  ] as const;
  expect(compiledOf(tiers)).toEqual({ tier: 'TurboFan', optimised: 0.5, deopts: 2 });
  expect(compiledOf([])).toBeUndefined();
});

describe('a measuring process', () => {
  let child: MeasuringProcess;
  beforeAll(() => {
    child = startProcess();
  });
  afterAll(() => {
    child.end();
  });

  /** Measures kernels for `linear`, each with code of its own in its call. */
  async function measured(codes: Record<string, string>) {
    const variants = Object.entries(codes).map(([name, code]) => {
      const file = join(folder, `${name}.mjs`);
      writeFileSync(file, kernel(code));
      return { name, file };
    });
    const spec: CaseSpec = {
      suite: 'linear',
      site: 'here',
      sizes: { T: 1, K: 64, N: 64 },
      stored: 'f32',
      distribution: 'normal',
      recording: undefined,
      coldBytes: 0,
      variants,
      milliseconds: 5,
      precision: 1,
      threads: undefined,
      seed: 1,
    };
    const result = await child.ask({ kind: 'case', spec });
    return result.variants.map(({ check, times }) => {
      expect(check.reason).toBe('');
      return times!;
    });
  }

  const kernel = (code: string) => `
    import v8 from 'node:v8';
    import vm from 'node:vm';
    v8.setFlagsFromString('--expose-gc');
    const gc = vm.runInNewContext('gc');
    const native = (name) => new Function('f', '%' + name + '(f)');
    const [prepare, optimise, never] = ['PrepareFunctionForOptimization', 'OptimizeFunctionOnNextCall', 'NeverOptimizeFunction'].map(native);
    let calls = 0;
    const out = new Float32Array(64);
    export default function linear({ x, w }, { T, K, N }) {
      calls++;
      ${code}
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x[k] * w[n * K + k];
        out[n] = sum;
      }
      return out;
    }`;

  test('counts the samples with a pause of the garbage collector', async () => {
    const [{ pauses, samples }] = await measured({ garbage: 'if (calls % 2 === 0) gc();' });
    expect(pauses.major).toBeGreaterThan(0);
    expect(pauses.any).toBeGreaterThanOrEqual(pauses.major);
    expect(pauses.any).toBeLessThanOrEqual(samples);
  });

  test("reports V8's compiler of a kernel, and how much of the time its code was optimised", async () => {
    // Measuring processes have V8's native functions, by which these kernels ask for their compilation.
    const [optimised, never] = await measured({
      optimised: '(calls === 1 ? prepare : optimise)(linear);',
      never: 'if (calls === 1) never(linear);',
    });
    expect(optimised.compiled).toEqual({ tier: 'TurboFan', optimised: 1, deopts: 0 });
    expect(never.compiled).toMatchObject({ optimised: 0, deopts: 0 });
    expect(['interpreter', 'Sparkplug']).toContain(never.compiled!.tier);
  });
});

describe('a report', () => {
  const row = sampleRow({
    variant: 'mine',
    taken: 320,
    outliers: 3,
    pauses: { any: 5, major: 2 },
    compiled: { tier: 'TurboFan', optimised: 0.95, deopts: 1 },
  });
  const label =
    'mine: of 320 samples 3 were outliers, 5 had a GC pause (2 a major one); code of TurboFan, optimised in 95% of samples, deoptimised 1 time';

  test('tells outliers, pauses and compilation below its tables', () => {
    expect(toTable(sampleReport([row]))).toContain(`\n${label}`);
    expect(toMarkdown(sampleReport([row]))).toContain(label);
    const quiet = { ...row, outliers: 0, pauses: { any: 0, major: 0 }, compiled: undefined };
    expect(toTable(sampleReport([quiet]))).not.toMatch(/samples \d|code of/);
  });

  test('has outliers, pauses and compilation in columns of its CSV', () => {
    const [names, figures] = toCsv(sampleReport([row]))
      .split('\r\n')
      .map((line) => line.split(','));
    const byName = Object.fromEntries(names.map((name, i) => [name, figures[i]]));
    expect(byName).toMatchObject({
      ...{ samples: '320', outliers: '3', gc_pauses: '5', major_gc_pauses: '2' },
      ...{ tier: 'TurboFan', optimised: '0.95', deopts: '1' },
    });
  });

  test("prints the machine's limits, with one thread and with all", () => {
    const limit = (threads: number) => ({
      threads,
      memory: 1e10 * threads,
      cache: 4e10,
      flops: 5e10,
      product: 'plain loops',
    });
    const report = { ...sampleReport([row]), limits: [limit(1), limit(2)] };
    expect(toTable(report)).toContain(
      'limits with 1 thread: memory 10.0 GB/s, cache 40.0 GB/s, 50.0 GFLOP/s (plain loops)\nlimits with 2 threads: memory 20.0 GB/s',
    );
    expect(toMarkdown(report)).toContain('| 2 | 20.0 | 40.0 | 50.0 | plain loops |');
  });
});
