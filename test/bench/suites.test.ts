import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { check, expectedOf } from '../../src/bench/check.ts';
import { backendOf, engineVariants, onBackend } from '../../src/bench/engine-variants.ts';
import { createDraw } from '../../src/bench/inputs.ts';
import { type CaseSpec, measureCase, type VariantSpec } from '../../src/bench/measure.ts';
import { type ModelShapes, parsePhase, readShapes } from '../../src/bench/model-shapes.ts';
import { record } from '../../src/bench/recording.ts';
import type { Suite } from '../../src/bench/suite.ts';
import { SUITES, suiteOf } from '../../src/bench/suites/index.ts';
import type { Task, Variant } from '../../src/bench/variant.ts';
import { createRandom } from '../../src/sampling/random.ts';
import { build, type F64, softmaxRow, sum } from '../support/f64.ts';
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

describe('shapes', () => {
  test('are those of the model, with the calls of a pass', () => {
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

  test('a layer with a window decodes behind no more than that', async () => {
    const sliding = await readShapes(modelFolder('gemma2'));
    const cases = suiteOf('attention').cases(sliding, parsePhase('decode:1000'));
    expect(cases.map(({ sizes }) => sizes.S).sort((a, b) => a - b)).toEqual([...new Set(sliding.config.windows.map((w) => Math.min(w, 1000)))].sort((a, b) => a - b)); // prettier-ignore
    expect(cases.reduce((calls, one) => calls + one.calls, 0)).toBe(sliding.config.nLayers);
    expect(suiteOf('swiglu').cases(sliding, parsePhase('decode'))).toEqual([]); // GELU
  });

  test('a cache of latents is read once, as keys and as values', () => {
    const [{ sizes, calls }] = suiteOf('attention').cases(latent, parsePhase('decode:50'));
    const { rank, ropeDim } = latent.config.latent!;
    expect({ sizes, calls }).toEqual({
      sizes: { T: 1, S: 50, H: latent.config.nHeads, K: 1, d: rank + ropeDim, dv: rank, latent: 1 },
      calls: latent.config.nLayers,
    });
    expect(Object.keys(suiteOf('attention').operands(sizes, ''))).toEqual(['q', 'keys']);
  });

  test.each(['decode:0', 'prefill:x', 'train', 'decode:'])('%s is refused', (phase) => {
    expect(() => parsePhase(phase)).toThrow(/expected decode, decode:DEPTH or prefill:TOKENS/);
  });
});

describe('the oracle agrees with the formula, written down in f64', () => {
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
      const answer = (t: number, e: number): number[] => {
        const branch = (f: number) =>
          sum(D, (i) => item(x, t, i) * item(own[`gateUp${e}`], f, i)) + item(own[`gateUpBias${e}`], f);
        const post = Array.from({ length: F }, (_, f) => {
          const gate = Math.min(branch(f), limit);
          const up = Math.max(-limit, Math.min(branch(F + f), limit));
          return ((up + 1) * gate) / (1 + Math.exp(-alpha * gate));
        });
        return Array.from({ length: D }, (_, d) => sum(F, (f) => post[f] * item(own[`down${e}`], d, f)) + item(own[`downBias${e}`], d)); // prettier-ignore
      };
      const answers = Array.from({ length: T }, (_, t) =>
        Array.from({ length: k }, (_, j) => answer(t, item(ids, t, j) % count)),
      );
      return build([T, D], ([t, d]) => sum(k, (j) => item(weights, t, j) * answers[t][j][d]));
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
        values.forEach((value, i) => {
          expect(Math.abs(value - formula[i])).toBeLessThan(1e-6 * (1 + Math.abs(formula[i])));
        });
      }
    },
  );
});

describe('a check', () => {
  const right = (task: Task): Float32Array => expectedOf(task, F32, createRandom(1)).values.slice();
  const judge = (result: Float32Array, task: Task, variant = F32) =>
    check(result, task, variant as Variant, expectedOf(task, variant, createRandom(2)));

  test.each(SUITES.map(({ name }) => name))('%s: an error of 0.01 in one element is caught, wherever it is', (name) => {
    const task = taskOf(name, 'prefill:5');
    const good = right(task);
    expect(judge(good, task).ok).toBe(true);
    for (const at of [0, Math.floor(good.length / 2), good.length - 1]) {
      const bad = good.slice();
      bad[at] += 0.01;
      const { ok, reason } = judge(bad, task);
      expect(ok, `element ${at}`).toBe(false);
      expect(reason).toMatch(/expected .*, got /);
    }
  });

  test('of a case too large for the oracle, no element goes unchecked', () => {
    // 0.6 GFLOP, of which the oracle may spend 0.3.
    const suite = suiteOf('linear');
    const sizes = { T: 512, K: 576, N: 1024 };
    const operands = suite.operands(sizes, '');
    const draw = createDraw(3, 'normal');
    const inputs = { x: draw.activations(512 * 576), w: draw.weights(576 * 1024, 576 ** -0.5) };
    const task: Task = { suite, site: '', sizes, operands, inputs, packed: {}, copies: 1 };
    const variant = onBackend(
      { name: 'f32', backend: 'tensorflow', weights: 'f32' },
      backendOf('tensorflow', undefined),
    );
    const prepared = variant.prepare(task);
    const good = prepared.result(0);
    prepared.dispose();
    const expected = expectedOf(task, F32, createRandom(4));
    expect(expected.rows.length).toBeLessThan(512);
    expect(check(good, task, variant, expected).ok).toBe(true);
    const unchecked = Array.from({ length: 512 }, (_, row) => row).find((row) => !expected.rows.includes(row))!;
    good[unchecked * 1024 + 77] += 0.01;
    const { ok, reason } = check(good, task, variant, expected);
    expect(ok).toBe(false);
    expect(reason).toContain(`row ${unchecked}: its sum with random signs`);
  });

  test('NaN, a wrong length and another type are told', () => {
    const task = taskOf('linear', 'decode', 'o_proj');
    const values = right(task);
    expect(judge(values.with(3, NaN), task).reason).toBe('element 3 is NaN');
    expect(judge(values.slice(1), task).reason).toBe('expected 64 numbers, got 63');
    expect(judge([...values] as unknown as Float32Array, task).reason).toMatch(/expected a Float32Array/);
  });
});

describe('measuring', () => {
  test.each(SUITES.flatMap(({ name }) => ['decode:20', 'prefill:20'].map((phase) => [name, phase] as const)))(
    '%s, %s: every variant of the engine is right, and timed',
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

  test.each(['outliers', 'denormal'] as const)('with %s, too', async (distribution) => {
    const { variants } = await measureCase(spec('linear', 'decode', engine('linear', 'decode'), { distribution }));
    expect(variants.map(({ check: { reason } }) => reason)).toEqual(['', '', '']);
  });

  test('the kernel that ran is named: ours for one row, TensorFlow for many', async () => {
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

  test('activations of a real pass are inputs', async () => {
    const hooks = ['hook_attn_in', 'attn.hook_rot_q', 'kv.hook_k', 'kv.hook_v'];
    const source = modelFolder('llama_gqa_tied');
    const recording = await record(folder, { source, hooks, tokens: 20, threads: undefined });
    const recorded = { distribution: 'recorded', recording } as const;
    for (const [name, phase] of [
      ['linear', 'prefill:20'],
      ['attention', 'decode:20'],
    ] as const) {
      // prettier-ignore
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

  test('a wrong one is found WRONG and gets no time; others go on', async () => {
    const names = ['kernel', 'copy', 'slower', 'wrong'];
    const { variants } = await measureCase(spec('linear', 'decode', names.map(trial), { site: 'o_proj' }));
    expect(variants.map(({ check: { ok }, times }) => [ok, times !== undefined])).toEqual([
      [true, true],
      [true, true],
      [true, true],
      [false, false],
    ]);
  });

  test('one that is right at first and wrong after many calls is caught', async () => {
    const tires = file('tires.mjs', `import right from ${JSON.stringify(join(process.cwd(), 'bench/trial/kernel.mjs'))};
      let calls = 0;
      export default (inputs, sizes) => { const y = right(inputs, sizes); if (++calls > 20) y[0] += 0.01; return y; };`); // prettier-ignore
    const { variants } = await measureCase(spec('linear', 'decode', [trial('kernel'), tires], { site: 'o_proj' }));
    expect(variants[1].check.ok).toBe(false);
    expect(variants[1].times).toBeUndefined();
  });

  test('one that remembers its first result is caught by fresh inputs', async () => {
    const remembers = file('remembers.mjs', `import right from ${JSON.stringify(join(process.cwd(), 'bench/trial/kernel.mjs'))};
      let first;
      export default (inputs, sizes) => (first ??= right(inputs, sizes));`); // prettier-ignore
    const { variants } = await measureCase(spec('linear', 'decode', [trial('kernel'), remembers], { site: 'o_proj' }));
    expect(variants[1].check.ok).toBe(false);
  });

  test('its weights come as it asks for them, and prepared as it likes', async () => {
    const packed = file('packed.mjs', `
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
      });`); // prettier-ignore
    const { variants } = await measureCase(
      spec('linear', 'prefill:3', [packed], { coldBytes: 2 ** 18, site: 'o_proj' }),
    );
    expect(variants[0].check.reason).toBe('');
    expect(variants[0]).toMatchObject({ weights: 'bf16', copies: 2 ** 18 / (64 * 64 * 2) });
  });

  test('a file that is no kernel is refused, with what it lacks', async () => {
    const bad = (name: string, text: string) => measureCase(spec('linear', 'decode', [file(name, text)]));
    await expect(bad('none.mjs', 'export const linear = 1;')).rejects.toThrow(/none\.mjs: expected its default export to be a function/); // prettier-ignore
    await expect(bad('odd.mjs', "export const weights = 'q4'; export default () => {};")).rejects.toThrow(/"weights" to be one of f32, bf16, mxfp4, fp8/); // prettier-ignore
    await expect(bad('broken.mjs', 'export default (')).rejects.toThrow(/broken\.mjs: cannot be imported/);
    await expect(measureCase(spec('linear', 'decode', [{ name: 'x', file: 'no/such/file.mjs' }]))).rejects.toThrow(/no\/such\/file\.mjs: cannot be imported/); // prettier-ignore
  });

  test('TypeScript runs as it is', async () => {
    const { variants } = await measureCase(spec('linear', 'decode', [file('mine.ts', PRODUCT)], { site: 'o_proj' }));
    expect(variants[0].check.reason).toBe('');
  });
});
