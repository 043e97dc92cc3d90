import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compiledOf } from '../../src/bench/blocks.ts';
import { countPauses } from '../../src/bench/pauses.ts';
import { startProcess } from '../../src/bench/processes.ts';
import type { Report, Row } from '../../src/bench/report.ts';
import { toCsv } from '../../src/bench/write/csv.ts';
import { toMarkdown } from '../../src/bench/write/markdown.ts';
import { toTable } from '../../src/bench/write/table.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-labels-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('a sample has a pause where one overlaps it', () => {
  const spans = [0, 10, 11, 20, 20, 30, 30, 40];
  const pause = (begin: number, end: number, isMajor = false) => ({ begin, end, isMajor });
  expect(countPauses(spans, [])).toEqual({ any: 0, major: 0 });
  expect(countPauses(spans, [pause(10.2, 10.8)])).toEqual({ any: 0, major: 0 }); // Between two.
  expect(countPauses(spans, [pause(1, 2), pause(3, 4), pause(25, 35, true)])).toEqual({ any: 3, major: 2 });
  expect(countPauses(spans, [pause(50, 60)])).toEqual({ any: 0, major: 0 });
});

test('code that was optimised and no longer is, was deoptimised', () => {
  const tiers = ['interpreter', 'Maglev', 'TurboFan', 'Sparkplug', 'interpreter', 'TurboFan', 'interpreter', 'TurboFan'] as const; // prettier-ignore
  expect(compiledOf(tiers)).toEqual({ tier: 'TurboFan', optimised: 0.5, deopts: 2 });
  expect(compiledOf([])).toBeUndefined();
});

describe('a process that measures', () => {
  /** A kernel for `linear`, with code of its own in the loop over calls. */
  async function measured(name: string, text: string) {
    const file = join(folder, `${name}.mjs`);
    writeFileSync(file, text);
    const child = startProcess();
    try {
      const { variants } = await child.ask({
        kind: 'case',
        spec: {
          suite: 'linear',
          site: 'here',
          sizes: { T: 1, K: 64, N: 64 },
          stored: 'f32',
          distribution: 'normal',
          recording: undefined,
          coldBytes: 0,
          variants: [{ name, file }],
          milliseconds: 150,
          precision: 1,
          threads: undefined,
          seed: 1,
        },
      });
      expect(variants[0].check.reason).toBe('');
      return variants[0].times!;
    } finally {
      child.end();
    }
  }

  const kernel = (before: string, output = 'new Float32Array(T * N)') => `
    let calls = 0;
    const out = new Float32Array(64);
    export default function linear({ x, w }, { T, K, N }) {
      calls++;
      ${before}
      const y = ${output};
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x[k] * w[n * K + k];
        y[n] = sum;
      }
      return y;
    }`;

  test('counts the samples with a pause of the garbage collector', async () => {
    const collects = "import v8 from 'node:v8'; import vm from 'node:vm'; v8.setFlagsFromString('--expose-gc'); const gc = vm.runInNewContext('gc');"; // prettier-ignore
    const garbage = await measured('garbage', collects + kernel('if (calls % 20 === 0) gc();', 'out'));
    expect(garbage.pauses.major).toBeGreaterThan(0);
    expect(garbage.pauses.any).toBeGreaterThanOrEqual(garbage.pauses.major);
    expect(garbage.pauses.any).toBeLessThanOrEqual(garbage.samples);
    const clean = await measured('clean', kernel('', 'out'));
    expect(clean.pauses.major).toBe(0);
  });

  test('tells the compiler of a kernel, and how often it had none', async () => {
    const plain = await measured('plain', kernel('', 'out'));
    expect(plain.compiled).toMatchObject({ tier: 'TurboFan', deopts: 0 });
    expect(plain.compiled!.optimised).toBeGreaterThan(0.9);
    // The processes of the harness know V8's own functions: this one has its code thrown away again and again.
    const drop = "let next = 0; const drop = new Function('f', '%DeoptimizeFunction(f)');";
    const lost = await measured('lost', drop + kernel('if (performance.now() > next) { next = performance.now() + 5; drop(linear); }', 'out')); // prettier-ignore
    expect(lost.compiled!.optimised).toBeLessThan(0.9);
  });
});

describe('a report shows them', () => {
  const row: Row = {
    suite: 'linear',
    model: 'm',
    site: 'lm_head',
    phase: 'decode',
    sizes: { T: 1, K: 2, N: 3 },
    inputs: 'normal',
    cold: false,
    calls: 1,
    variant: 'mine',
    weights: 'f32',
    stored: 'f32',
    compute: 'f32',
    kernels: ['mine.mjs'],
    check: { ok: true, reason: '', worst: { ofAllowed: 0, ofRow: 0 }, nmse: 0, rowsChecked: 1 },
    verdict: 'BASE',
    seconds: { median: 1, low: 1, high: 1 },
    ratio: undefined,
    minEffect: 0.05,
    control: undefined,
    flops: 1,
    bytes: 1,
    attained: 0.5,
    taken: 320,
    outliers: 3,
    pauses: { any: 5, major: 2 },
    compiled: { tier: 'TurboFan', optimised: 0.95, deopts: 1 },
    samples: [[1]],
    command: 'vitrine bench linear',
  };
  const report = (one: Row): Report => ({
    format: 'vitrine-bench',
    version: 1,
    fingerprint: {
      cpu: 'C',
      cores: 1,
      load: 0,
      node: 'v20',
      backends: {},
      date: 'D',
    } as unknown as Report['fingerprint'],
    limits: [],
    overhead: { sample: 0, call: 0 },
    rows: [one],
    predictions: [],
  });
  const label =
    'mine: of 320 samples 3 were outliers, 5 had a GC pause (2 a major one); code of TurboFan, optimised in 95% of samples, deoptimised 1 time';

  test('in words', () => {
    expect(toTable(report(row))).toContain(`\n${label}`);
    expect(toMarkdown(report(row))).toContain(label);
    const quiet = { ...row, outliers: 0, pauses: { any: 0, major: 0 }, compiled: undefined };
    expect(toTable(report(quiet))).not.toMatch(/samples \d|code of/);
  });

  test('in columns', () => {
    const [names, figures] = toCsv(report(row)).split('\r\n').map((line) => line.split(',')); // prettier-ignore
    const byName = Object.fromEntries(names.map((name, i) => [name, figures[i]]));
    expect(byName).toMatchObject({ samples: '320', outliers: '3', gc_pauses: '5', major_gc_pauses: '2', tier: 'TurboFan', optimised: '0.95', deopts: '1' }); // prettier-ignore
  });
});
