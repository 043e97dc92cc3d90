import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { CaseSpec, VariantSpec } from '../../src/bench/cases/case-spec.ts';
import { measureCase } from '../../src/bench/cases/measure-case.ts';
import { createDraw } from '../../src/bench/inputs/draw.ts';
import { type ModelShapes, readShapes } from '../../src/bench/subject/model-shapes.ts';
import { parsePhase } from '../../src/bench/subject/phase.ts';
import { onBackend } from '../../src/bench/variants/backend-variant.ts';
import { engineVariants } from '../../src/bench/variants/engine-variants.ts';
import { check, expectedOf } from '../../src/bench/variants/result-check.ts';
import { record } from '../../src/bench/inputs/recording.ts';
import type { Suite } from '../../src/bench/suites/suite.ts';
import { SUITES, suiteOf } from '../../src/bench/suites/all-suites.ts';
import type { Task, Variant } from '../../src/bench/variants/variant.ts';
import { createRandom } from '../../src/sampling/random.ts';
import { createBackend } from '../../src/tensor/backends.ts';
import { build, type F64, softmaxRow, sum } from '../support/f64-oracle.ts';
import { modelFolder } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-bench-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const model = await readShapes(modelFolder('llama_gqa_tied'));
const mixture = await readShapes(modelFolder('gpt_oss_mxfp4'));
const latent = await readShapes(modelFolder('deepseek_v3'));
const caseOf = (suite: Suite, phase: string, site = '', of = suite.name === 'experts' ? mixture : model) => {
  const found = suite.cases(of, parsePhase(phase)).find((one) => one.site.includes(site));
  return found ?? expect.fail(`${suite.name} has no case at ${site}`);
};

function taskOf(name: string, phase: string, site?: string, seed = 1, of?: ModelShapes): Task {
  const suite = suiteOf(name);
  const { sizes, site: at } = caseOf(suite, phase, site, of);
  const operands = suite.operands(sizes, at);
  const draw = createDraw(seed, 'normal');
  const inputs = Object.fromEntries(
    Object.entries(operands).map(([key, { shape, fill }]) => [
      key,
      fill(
        draw,
        shape.reduce((a, b) => a * b, 1),
      ),
    ]),
  );
  return { suite, site: at, sizes, operands, inputs, packed: {}, copies: 1 };
}

const spec = (
  name: string,
  phase: string,
  variants: readonly VariantSpec[],
  more: Partial<CaseSpec> = {},
): CaseSpec => {
  const { site, sizes, stored } = caseOf(suiteOf(name), phase, more.site);
  const rest = { coldBytes: 0, milliseconds: 1, precision: 1, threads: undefined, seed: 1 };
  return { suite: name, distribution: 'normal', recording: undefined, variants, ...rest, stored, ...more, site, sizes };
};

const engine = (name: string, phase: string): VariantSpec[] =>
  engineVariants(suiteOf(name), caseOf(suiteOf(name), phase));

const F32: Pick<Variant, 'name' | 'weights' | 'compute'> = { name: 'f32', weights: 'f32', compute: 'f32' };

describe('the cases of a suite', () => {
  test('have the sizes of the model, and the calls of a pass', () => {
    const sites = suiteOf('linear').cases(model, parsePhase('prefill:7'));
    expect(sites).toEqual([
      { site: 'lm_head', sizes: { T: 1, K: 64, N: 512 }, calls: 1, stored: 'bf16' },
      { site: 'layers.*.self_attn.q_proj+k_proj+v_proj', sizes: { T: 7, K: 64, N: 128 }, calls: 2, stored: 'bf16' },
      { site: 'layers.*.self_attn.o_proj', sizes: { T: 7, K: 64, N: 64 }, calls: 2, stored: 'bf16' },
      { site: 'layers.*.mlp.gate_proj+up_proj', sizes: { T: 7, K: 64, N: 256 }, calls: 2, stored: 'bf16' },
      { site: 'layers.*.mlp.down_proj', sizes: { T: 7, K: 128, N: 64 }, calls: 2, stored: 'bf16' },
    ]);
    expect(caseOf(suiteOf('attention'), 'decode:100').sizes).toEqual({ T: 1, S: 100, H: 4, K: 2, d: 16, dv: 16 });
  });

  test('of attention have at most as many keys as the layer has in its window', async () => {
    const sliding = await readShapes(modelFolder('gemma2'));
    const cases = suiteOf('attention').cases(sliding, parsePhase('decode:1000'));
    const keys = new Set(sliding.config.windows.map((window) => Math.min(window, 1000)));
    expect(new Set(cases.map(({ sizes }) => sizes.S))).toEqual(keys);
    expect(cases).toHaveLength(keys.size);
    expect(cases.reduce((calls, one) => calls + one.calls, 0)).toBe(sliding.config.nLayers);
    expect(suiteOf('swiglu').cases(sliding, parsePhase('decode'))).toEqual([]); // GELU
  });

  test('of attention over latents read the cache once, as keys and as values', () => {
    const [{ sizes, calls }] = suiteOf('attention').cases(latent, parsePhase('decode:50'));
    const { rank, ropeDim } = latent.config.latent!;
    expect({ sizes, calls }).toEqual({
      sizes: { T: 1, S: 50, H: latent.config.nHeads, K: 1, d: rank + ropeDim, dv: rank, latent: 1 },
      calls: latent.config.nLayers,
    });
    expect(Object.keys(suiteOf('attention').operands(sizes, ''))).toEqual(['q', 'keys']);
  });

  test.each(['decode:0', 'prefill:x', 'train', 'decode:'])('cannot be asked for as %s', (phase) => {
    expect(() => parsePhase(phase)).toThrow(/expected decode, decode:DEPTH or prefill:TOKENS/);
  });
});

describe('the oracle agrees with the formula in f64', () => {
  const arrays = (task: Task): Record<string, F64> =>
    Object.fromEntries(
      Object.entries(task.inputs).map(([name, values]) => [
        name,
        { shape: task.operands[name].shape, values: Float64Array.from(values) },
      ]),
    );
  const item = ({ shape, values }: F64, ...index: number[]): number =>
    values[index.reduce((at, i, axis) => at * shape[axis] + i, 0)];

  const FORMULAS: Readonly<Record<string, (a: Record<string, F64>, sizes: Task['sizes']) => F64>> = {
    linear: ({ x, w }, { T, N, K }) => build([T, N], ([t, n]) => sum(K, (k) => item(x, t, k) * item(w, n, k))),
    'rms-norm': ({ x, weight }, { T, D }) =>
      build([T, D], ([t, i]) => {
        const mean = sum(D, (j) => item(x, t, j) ** 2) / D;
        return (item(x, t, i) / Math.sqrt(mean + 1e-5)) * item(weight, i);
      }),
    swiglu: ({ gate, up }, { T, F }) =>
      build([T, F], ([t, i]) => (item(gate, t, i) / (1 + Math.exp(-item(gate, t, i)))) * item(up, t, i)),
    softmax: ({ x }, { T, S }) =>
      build([T, S], ([t, s]) => softmaxRow(Array.from({ length: S }, (_, j) => item(x, t, j)))[s]),
    rotate: ({ x, cos, sin }, { T, H, d }) =>
      build([T, H, d], ([t, h, i]) => {
        const [pair, isFirst] = [i % (d / 2), i < d / 2];
        const other = item(x, t, h, isFirst ? i + d / 2 : i - d / 2);
        return item(x, t, h, i) * item(cos, t, pair) + (isFirst ? -1 : 1) * other * item(sin, t, pair);
      }),
    experts: ({ x, ids, weights, ...own }, { T, D, F, k, limit, alpha }) => {
      const count = Object.keys(own).length / 4;
      const expert = (t: number, e: number): number[] => {
        const branch = (f: number) =>
          sum(D, (i) => item(x, t, i) * item(own[`gateUp${e}`], f, i)) + item(own[`gateUpBias${e}`], f);
        const post = Array.from({ length: F }, (_, f) => {
          const gate = Math.min(branch(f), limit);
          const up = Math.max(-limit, Math.min(branch(F + f), limit));
          return ((up + 1) * gate) / (1 + Math.exp(-alpha * gate));
        });
        return Array.from(
          { length: D },
          (_, d) => sum(F, (f) => post[f] * item(own[`down${e}`], d, f)) + item(own[`downBias${e}`], d),
        );
      };
      const outputs = Array.from({ length: T }, (_, t) =>
        Array.from({ length: k }, (_, j) => expert(t, item(ids, t, j) % count)),
      );
      return build([T, D], ([t, d]) => sum(k, (j) => item(weights, t, j) * outputs[t][j][d]));
    },
    attention: ({ q, keys, values = keys }, { T, S, H, K, d, dv }) =>
      build([T, H, dv], ([t, h, i]) => {
        const group = Math.floor(h / (H / K));
        const seen = S - T + t + 1;
        const scores = Array.from(
          { length: seen },
          (_, s) => sum(d, (j) => item(q, t, h, j) * item(keys, group, s, j)) * d ** -0.5,
        );
        const pattern = softmaxRow(scores);
        return sum(seen, (s) => pattern[s] * item(values, group, s, i));
      }),
  };

  test.each([...SUITES.map(({ name }) => ({ name, of: undefined })), { name: 'attention', of: latent }])(
    '$name',
    ({ name, of }) => {
      for (const phase of ['decode:9', 'prefill:5']) {
        const task = taskOf(name, phase, undefined, 1, of);
        const { values } = expectedOf(task, F32, createRandom(1));
        const { values: formula } = FORMULAS[name](arrays(task), task.sizes);
        expect(values.length).toBe(formula.length);
        const wrong = values.filter((value, i) => !(Math.abs(value - formula[i]) < 1e-6 * (1 + Math.abs(formula[i]))));
        expect(wrong).toEqual(new Float32Array());
      }
    },
  );
});

describe('a check', () => {
  test.each(SUITES.map(({ name }) => name))('of %s finds an error of 0.01 in one element, wherever it is', (name) => {
    const task = taskOf(name, 'prefill:5');
    const expected = expectedOf(task, F32, createRandom(1));
    const judge = (result: Float32Array) => check(result, task, F32 as Variant, expected);
    const good = expected.values.slice();
    expect(judge(good).ok).toBe(true);
    for (const at of [0, Math.floor(good.length / 2), good.length - 1]) {
      const bad = good.slice();
      bad[at] += 0.01;
      const { ok, reason } = judge(bad);
      expect(ok, `element ${at}`).toBe(false);
      expect(reason).toMatch(/expected .*, got /);
    }
  });

  test('of a case too large for the oracle finds an error in a row that the oracle did not compute', () => {
    const suite = suiteOf('linear');
    const sizes = { T: 64, K: 576, N: 256 };
    const operands = suite.operands(sizes, '');
    const draw = createDraw(3, 'normal');
    const inputs = { x: draw.activations(64 * 576), w: draw.weights(576 * 256, 576 ** -0.5) };
    const task: Task = { suite, site: '', sizes, operands, inputs, packed: {}, copies: 1 };
    const variant = onBackend({ name: 'f32', backend: 'tensorflow', weights: 'f32' }, createBackend('tensorflow'));
    const prepared = variant.prepare(task);
    const good = prepared.result(0);
    prepared.dispose();
    const expected = expectedOf(task, F32, createRandom(4), suite.flops(sizes) / 8);
    expect(expected.rows.length).toBe(8);
    expect(check(good, task, variant, expected).ok).toBe(true);
    const unchecked = Array.from({ length: 64 }, (_, row) => row).find((row) => !expected.rows.includes(row))!;
    good[unchecked * 256 + 77] += 0.01;
    const { ok, reason } = check(good, task, variant, expected);
    expect(ok).toBe(false);
    expect(reason).toContain(`row ${unchecked}: its sum with random signs`);
  });

  test('names NaN, a wrong length and a wrong type', () => {
    const task = taskOf('linear', 'decode', 'o_proj');
    const expected = expectedOf(task, F32, createRandom(1));
    const judge = (result: Float32Array) => check(result, task, F32 as Variant, expected);
    const { values } = expected;
    expect(judge(values.with(3, NaN)).reason).toBe('element 3 is NaN');
    expect(judge(values.slice(1)).reason).toBe('expected 64 numbers, got 63');
    expect(judge([...values] as unknown as Float32Array).reason).toMatch(/expected a Float32Array/);
  });
});

describe('measuring', () => {
  test.each(SUITES.flatMap(({ name }) => ['decode:20', 'prefill:20'].map((phase) => [name, phase] as const)))(
    '%s, %s: every variant of the engine is right, and is timed',
    async (name, phase) => {
      const { variants, control } = await measureCase(spec(name, phase, engine(name, phase), { coldBytes: 2 ** 18 }));
      expect(variants.length).toBeGreaterThanOrEqual(2);
      for (const { check: checked, times, kernels } of variants) {
        expect(checked.reason).toBe('');
        expect(kernels.length).toBeGreaterThan(0);
        expect(times!.cells.length).toBe(control!.cells.length);
        expect(times!.cells.every((seconds) => seconds > 0)).toBe(true);
      }
    },
  );

  test.each(['outliers', 'denormal'] as const)(
    'linear with %s: every variant of the engine is right',
    async (distribution) => {
      const { variants } = await measureCase(spec('linear', 'decode', engine('linear', 'decode'), { distribution }));
      expect(variants.map(({ check: { reason } }) => reason)).toEqual(variants.map(() => ''));
    },
  );

  test('names the kernels that ran: WebAssembly for one row, TensorFlow for many', async () => {
    const kernelsOf = async (phase: string) => {
      const { variants } = await measureCase(spec('linear', phase, engine('linear', phase), { site: 'down_proj' }));
      return Object.fromEntries(variants.map(({ name, kernels }) => [name, kernels]));
    };
    const one = await kernelsOf('decode');
    expect(one['tensorflow-bf16']).toEqual(['WebAssembly linearBf16']);
    expect(one['tensorflow-f32']).toEqual(['WebAssembly linearF32']);
    expect(one.reference).toEqual(['plain loops']);
    expect((await kernelsOf('prefill:20'))['tensorflow-f32']).toEqual(['TensorFlow MatMul']);
  });

  test('uses recorded activations of a real pass', async () => {
    const hooks = ['attn.hook_in', 'attn.hook_rot_q', 'kv.hook_k', 'kv.hook_v'];
    const source = modelFolder('llama_gqa_tied');
    const recording = await record(folder, { source, hooks, tokens: 20, threads: undefined });
    const recorded = { distribution: 'recorded', recording } as const;
    for (const [name, phase] of [
      ['linear', 'prefill:20'],
      ['attention', 'decode:20'],
    ] as const) {
      const { variants } = await measureCase(spec(name, phase, engine(name, phase), { ...recorded, site: 'attn' }));
      expect(variants.map(({ check: { reason } }) => reason)).toEqual(variants.map(() => ''));
    }
  });
});

describe("a user's kernel", () => {
  const file = (name: string, text: string): VariantSpec => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return { name, file: path };
  };
  const trial = (name: string): VariantSpec => ({ name, file: `bench/trial/${name}.mjs` });
  const PRODUCT = `
    export default function ({ x, w }: Record<string, Float32Array>, { T, K, N }: Record<string, number>): Float32Array {
      const out = new Float32Array(T * N);
      for (let t = 0; t < T; t++)
        for (let n = 0; n < N; n++)
          for (let k = 0; k < K; k++) out[t * N + n] += x[t * K + k] * w[n * K + k];
      return out;
    }`;

  test('gets no times if it is wrong, and others do', async () => {
    const names = ['baseline', 'copy', 'slower', 'wrong'];
    const { variants } = await measureCase(spec('linear', 'decode', names.map(trial), { site: 'o_proj' }));
    expect(variants.map(({ check: { ok }, times }) => [ok, times !== undefined])).toEqual([
      [true, true],
      [true, true],
      [true, true],
      [false, false],
    ]);
  });

  test('is found out if it is right at first and wrong after many calls', async () => {
    const tires = file(
      'tires.mjs',
      `import right from ${JSON.stringify(join(process.cwd(), 'bench/trial/baseline.mjs'))};
      let calls = 0;
      export default (inputs, sizes) => { const y = right(inputs, sizes); if (++calls > 20) y[0] += 0.01; return y; };`,
    );
    const { variants } = await measureCase(spec('linear', 'decode', [trial('baseline'), tires], { site: 'o_proj' }));
    expect(variants[1].check.ok).toBe(false);
    expect(variants[1].times).toBeUndefined();
  });

  test('is found out if it remembers its first result', async () => {
    const remembers = file(
      'remembers.mjs',
      `import right from ${JSON.stringify(join(process.cwd(), 'bench/trial/baseline.mjs'))};
      let first;
      export default (inputs, sizes) => (first ??= right(inputs, sizes));`,
    );
    const { variants } = await measureCase(
      spec('linear', 'decode', [trial('baseline'), remembers], { site: 'o_proj' }),
    );
    expect(variants[1].check.ok).toBe(false);
  });

  test('gets weights in the format that it asks for, and prepares them once per copy', async () => {
    const packed = file(
      'packed.mjs',
      `
      export const weights = 'bf16';
      export const prepare = ({ x, w }) => {
        if (!(w instanceof Uint16Array)) throw new Error('expected bf16');
        const wide = new Uint32Array(w.length);
        w.forEach((bits, i) => { wide[i] = bits << 16; });
        return { x, wide: new Float32Array(wide.buffer) };
      };
      export default ({ x, wide }, { T, K, N }) => Float32Array.from({ length: T * N }, (_, i) => {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x[Math.floor(i / N) * K + k] * wide[(i % N) * K + k];
        return sum;
      });`,
    );
    const { variants } = await measureCase(
      spec('linear', 'prefill:3', [packed], { coldBytes: 2 ** 18, site: 'o_proj' }),
    );
    expect(variants[0].check.reason).toBe('');
    expect(variants[0]).toMatchObject({ weights: 'bf16', copies: 2 ** 18 / (64 * 64 * 2) });
  });

  test('is refused if its file is no kernel, with the reason', async () => {
    const bad = (name: string, text: string) => measureCase(spec('linear', 'decode', [file(name, text)]));
    await expect(bad('none.mjs', 'export const linear = 1;')).rejects.toThrow(
      /none\.mjs: expected its default export to be a function/,
    );
    await expect(bad('odd.mjs', "export const weights = 'q4'; export default () => {};")).rejects.toThrow(
      /"weights" to be one of f32, bf16, mxfp4, fp8/,
    );
    await expect(bad('broken.mjs', 'export default (')).rejects.toThrow(/broken\.mjs: cannot be imported/);
    await expect(measureCase(spec('linear', 'decode', [{ name: 'x', file: 'no/such/file.mjs' }]))).rejects.toThrow(
      /no\/such\/file\.mjs: cannot be imported/,
    );
  });

  test('may be TypeScript', async () => {
    const { variants } = await measureCase(spec('linear', 'decode', [file('mine.ts', PRODUCT)], { site: 'o_proj' }));
    expect(variants[0].check.reason).toBe('');
  });
});
