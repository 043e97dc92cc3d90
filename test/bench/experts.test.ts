import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { CaseResult, CaseSpec, VariantSpec } from '../../src/bench/cases/case-spec.ts';
import { measureCase } from '../../src/bench/cases/measure-case.ts';
import { engineVariants } from '../../src/bench/variants/engine-variants.ts';
import { type ModelShapes, readShapes } from '../../src/bench/subject/model-shapes.ts';
import { parsePhase } from '../../src/bench/subject/phase.ts';
import { predict } from '../../src/bench/run/predictions.ts';
import { record } from '../../src/bench/inputs/recording.ts';
import type { Row } from '../../src/bench/run/report.ts';
import type { Case } from '../../src/bench/suites/suite.ts';
import { suiteOf } from '../../src/bench/suites/all-suites.ts';
import { pack, packedFormat } from '../../src/bench/subject/weight-format.ts';
import { createRandom } from '../../src/sampling/random.ts';
import { fromBf16, toBf16 } from '../../src/tensor/formats/bf16.ts';
import { decodePacked } from '../../src/tensor/formats/packed-format.ts';
import { modelFolder } from '../support/fixtures.ts';
import { sampleRow } from './sample-report.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-experts-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const known = new Map<string, Promise<ModelShapes>>();
function shapesOf(name: string): Promise<ModelShapes> {
  const shapes = known.get(name) ?? readShapes(modelFolder(name));
  known.set(name, shapes);
  return shapes;
}
const casesOf = (model: ModelShapes, suite: string, phase = 'decode'): readonly Case[] =>
  suiteOf(suite).cases(model, parsePhase(phase));

function measure(suite: string, one: Case, variants: readonly VariantSpec[], more: Partial<CaseSpec> = {}) {
  const { site, sizes, stored } = one;
  const rest = {
    distribution: 'normal',
    recording: undefined,
    coldBytes: 0,
    precision: 1,
    threads: undefined,
  } as const;
  return measureCase({ suite, site, sizes, stored, variants, milliseconds: 1, seed: 1, ...rest, ...more });
}

const engine = (suite: string, one: Case): VariantSpec[] => engineVariants(suiteOf(suite), one);

describe('the shapes of a mixture', () => {
  test('are those of its experts, with the number of layers that have some', async () => {
    const qwen = await shapesOf('qwen3_moe'); // Layer 1 of 3 is an MLP.
    expect(casesOf(qwen, 'experts')).toEqual([
      { site: 'layers.*.mlp.experts', sizes: { T: 1, D: 64, F: 32, E: 8, k: 3 }, calls: 2, stored: 'bf16' },
    ]);
    expect(casesOf(qwen, 'swiglu').map(({ sizes, calls }) => [sizes.F, calls])).toEqual([[128, 1]]);
    const oss = await shapesOf('gpt_oss_mxfp4');
    expect(casesOf(oss, 'experts')).toEqual([
      {
        site: 'layers.*.mlp.experts',
        sizes: { T: 1, D: 64, F: 96, E: 4, k: 2, biased: 1, limit: 7, alpha: 1.702 },
        calls: 2,
        stored: 'mxfp4',
      },
    ]);
    expect(casesOf(oss, 'swiglu')).toEqual([]);
    const mixtral = await shapesOf('mixtral');
    expect(casesOf(mixtral, 'experts', 'prefill:9')[0]).toMatchObject({
      site: 'layers.*.block_sparse_moe.experts',
      sizes: { T: 9, E: 4, k: 2 },
      calls: 2,
    });
  });

  test('count shared experts and packed matrices among the matrices of every token, and no routed expert', async () => {
    const fp8 = await shapesOf('deepseek_v3_fp8');
    const sites = fp8.matrices.map(({ site, stored }) => `${site} ${stored}`);
    expect(sites.filter((site) => /\.experts\b/.test(site))).toEqual([]);
    expect(sites).toContain('layers.*.mlp.shared_experts.gate_proj+up_proj fp8');
    expect(sites).toContain('layers.*.self_attn.o_proj fp8');
    expect(casesOf(fp8, 'swiglu').map(({ site, sizes, calls }) => [site, sizes.F, calls])).toEqual([
      ['layers.*.mlp', 288, 1],
      ['layers.*.mlp.shared', 136, 1],
    ]);
  });
});

describe('the engine computes experts as the oracle does, and is timed', () => {
  test.each(['qwen3_moe', 'mixtral', 'deepseek_v2', 'deepseek_v3', 'deepseek_v3_fp8', 'gpt_oss', 'gpt_oss_mxfp4'])(
    'of %s',
    async (name) => {
      const [one] = casesOf(await shapesOf(name), 'experts', 'prefill:9');
      const { variants } = await measure('experts', one, engine('experts', one).slice(0, 1));
      expect(variants[0].check.reason).toBe('');
      expect(variants[0].times!.samples).toBeGreaterThan(0);
    },
  );

  test.each([
    ['deepseek_v3_fp8', 'linear', 'tensorflow-fp8', 'WebAssembly linearFp8'],
    ['deepseek_v3_fp8', 'experts', 'tensorflow-fp8', 'WebAssembly linearFp8'],
  ])('of %s in their codes: %s as %s runs %s', async (name, suite, variant, kernel) => {
    const one = casesOf(await shapesOf(name), suite).find(({ stored }) => stored !== 'bf16')!;
    expectKernel(await measure(suite, one, engine(suite, one)), variant, kernel);
  });

  test('of gpt_oss_mxfp4 in their codes, and counts the bytes of the experts that a call uses', async () => {
    const [one] = casesOf(await shapesOf('gpt_oss_mxfp4'), 'experts');
    const result = await measure('experts', one, engine('experts', one));
    expectKernel(result, 'tensorflow-mxfp4', 'WebAssembly linearMxfp4');
    const numbers = 2 * 3 * 64 * 96; // 2 of 4 experts
    expect(Object.fromEntries(result.variants.map(({ name, bytes }) => [name, bytes.read]))).toMatchObject({
      'tensorflow-mxfp4': (numbers * 17) / 32,
      'tensorflow-bf16': 2 * numbers,
      'tensorflow-f32': 4 * numbers,
      reference: 4 * numbers,
    });
    expect(suiteOf('experts').flops(one.sizes)).toBe(2 * (6 * 64 * 96 + 5 * 96 + 2 * 64));
  });

  function expectKernel({ variants }: CaseResult, variant: string, kernel: string): void {
    const packed = variants.find((found) => found.name === variant)!;
    expect(packed.check.reason).toBe('');
    expect(packed.kernels).toContain(kernel);
    expect(variants.map(({ check }) => check.reason)).toEqual(variants.map(() => ''));
  }
});

test('experts are measured on recorded activations and choices of a real pass', async () => {
  const source = join(folder, 'gpt_oss');
  cpSync(modelFolder('gpt_oss_mxfp4'), source, { recursive: true });
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(modelFolder('llama_gqa_tied'), name), join(source, name));
  const hooks = ['mlp.router.hook_in', 'mlp.hook_expert_indices', 'mlp.hook_topk_weights'];
  const recording = await record(folder, { source, hooks, tokens: 12, threads: undefined });
  for (const phase of ['decode', 'prefill:12']) {
    const [one] = casesOf(await shapesOf('gpt_oss_mxfp4'), 'experts', phase);
    const { variants } = await measure('experts', one, engine('experts', one), { distribution: 'recorded', recording });
    expect(variants.map(({ check }) => check.reason)).toEqual(variants.map(() => ''));
  }
});

describe("a user's kernel for experts", () => {
  /** Writes a kernel in f32 by the formula; `act` is JavaScript for the input of `down`. */
  const file = (name: string, act: string): VariantSpec => {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(
      path,
      `export default ({ x, ids, weights, ...own }, { T, D, F, k }) => {
      if (!(ids instanceof Int32Array)) throw new Error('expected i32');
      const count = Object.keys(own).length / 2;
      const out = new Float32Array(T * D);
      const dot = (a, i, b, j, n) => { let sum = 0; for (let l = 0; l < n; l++) sum += a[i + l] * b[j + l]; return sum; };
      for (let t = 0; t < T; t++)
        for (let j = 0; j < k; j++) {
          const e = ids[t * k + j] % count;
          const post = Float64Array.from({ length: F }, (_, f) => {
            const gate = dot(x, t * D, own['gateUp' + e], f * D, D);
            const up = dot(x, t * D, own['gateUp' + e], (F + f) * D, D);
            return ${act};
          });
          for (let d = 0; d < D; d++) out[t * D + d] += weights[t * k + j] * dot(post, 0, own['down' + e], d * F, F);
        }
      return out;
    };`,
    );
    return { name, file: path };
  };

  test('is right, or wrong if it exchanges gate and up', async () => {
    const [one] = casesOf(await shapesOf('qwen3_moe'), 'experts', 'prefill:5');
    const right = file('right', 'gate / (1 + Math.exp(-gate)) * up');
    const wrong = file('wrong', 'up / (1 + Math.exp(-up)) * gate');
    const { variants } = await measure('experts', one, [right, wrong]);
    expect(variants.map(({ check: { ok }, times }) => [ok, times !== undefined])).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  test('gets codes and factors if it asks for them, and is refused a matrix that has none', async () => {
    const path = join(folder, 'codes.mjs');
    writeFileSync(
      path,
      `export const weights = 'fp8';
      export default ({ x, w, wScales }, { T, K, N }) => Float32Array.from({ length: T * N }, (_, i) => {
        const n = i % N;
        let sum = 0;
        for (let k = 0; k < K; k++) {
          const code = w[n * K + k];
          const [exponent, mantissa] = [(code >> 3) & 15, code & 7];
          const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
          const factor = wScales[(n >> 7) * Math.ceil(K / 128) + (k >> 7)];
          sum += x[Math.floor(i / N) * K + k] * (code & 128 ? -magnitude : magnitude) * factor;
        }
        return sum;
      });`,
    );
    const cases = casesOf(await shapesOf('deepseek_v3_fp8'), 'linear');
    const packed = cases.find(({ site }) => site.endsWith('o_proj'))!;
    const { variants } = await measure('linear', packed, [{ name: 'codes', file: path }]);
    expect(variants[0]).toMatchObject({ weights: 'fp8', check: { reason: '' } });
    const head = cases.find(({ site }) => site === 'lm_head')!;
    await expect(measure('linear', head, [{ name: 'codes', file: path }])).rejects.toThrow(
      /it takes fp8 matrices, and those at lm_head are stored otherwise/,
    );
  });
});

test.each(['mxfp4', 'fp8'] as const)('encoding in %s gives the nearest codes, all of which bf16 represents', (name) => {
  const [rows, columns] = [130, 160];
  const random = createRandom(5);
  const values = Float32Array.from({ length: rows * columns }, () => random() - random());
  const format = packedFormat(name)!;
  const decoded = decodePacked(pack(format, values, columns));
  // Half of the widest step between codes (4 to 6 of 6, 15 to 16 of 16), for a factor up to twice the least one.
  const step = name === 'mxfp4' ? 2 / 6 : 1 / 16;
  expect(decoded.filter((value) => fromBf16(toBf16(value)) !== value)).toEqual(new Float32Array());
  expect(decoded.filter((value, i) => !(Math.abs(value - values[i]) <= step))).toEqual(new Float32Array());
});

describe('a prediction', () => {
  const row = (one: Case, suite: string, variant: string, milliseconds: number): Row =>
    sampleRow({
      ...{ suite, variant, site: one.site, sizes: one.sizes, calls: one.calls, stored: one.stored },
      seconds: { median: milliseconds / 1000, low: 0, high: 1 },
    });

  test('counts the experts of a mixture in their codes, and other matrices as they are stored', async () => {
    const model = { ...(await shapesOf('gpt_oss_mxfp4')), name: 'm' };
    const [experts] = casesOf(model, 'experts'); // 2 layers
    const [norm] = casesOf(model, 'rms-norm'); // 5 norms
    const head = casesOf(model, 'linear').find(({ site }) => site === 'lm_head')!;
    expect(head.stored).toBe('bf16');
    const rows = [
      row(experts, 'experts', 'tensorflow-mxfp4', 1),
      row(experts, 'experts', 'tensorflow-bf16', 10),
      row(head, 'linear', 'tensorflow-bf16', 3),
      row(head, 'linear', 'tensorflow-f32', 100),
      row(norm, 'rms-norm', 'tensorflow', 0.2),
    ];
    const predictions = await predict(rows, [{ model, phase: parsePhase('decode') }], { measureModel: false });
    const byVariant = Object.fromEntries(predictions.map((one) => [one.variant, one]));
    expect(Object.keys(byVariant)).toEqual(['tensorflow-mxfp4', 'tensorflow-bf16', 'tensorflow-f32']);
    expect(byVariant['tensorflow-mxfp4'].predicted).toBeCloseTo(1000 / (2 * 1 + 3 + 5 * 0.2), 6);
    expect(byVariant['tensorflow-bf16'].predicted).toBeCloseTo(1000 / (2 * 10 + 3 + 5 * 0.2), 6);
  });
});
