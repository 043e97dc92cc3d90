import { describe, expect, test } from 'vitest';
import { hasBf16Instructions, prefersBf16Products } from '../../../src/tensor/cpu/processor.ts';
import { Parameter } from '../../../src/tensor/parameter.ts';
import { linear } from '../../../src/tensor/ops/linear.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { TensorflowBackend } from '../../../src/tensor/tensorflow/tensorflow-backend.ts';

const flags = (names: string): string => `processor : 0\nmodel name : x\nflags\t\t: fpu sse2 ${names} fsrm\n`;
const AVX2 = flags('avx avx2 f16c');
const AVX512 = flags('avx2 avx512f avx512bw amx_bf16');
const on = (cpuinfo: string | undefined, env: Record<string, string> = {}, arch = 'x64') => ({ arch, cpuinfo, env });

describe('bf16 instructions', () => {
  test.each([
    ['AVX2 only', on(AVX2), false],
    ['AVX-512', on(AVX512), true],
    ['a system that does not tell', on(undefined), true],
    ['ARM', on(undefined, {}, 'arm64'), true],
    ['AVX-512, where oneDNN may use AVX2 only', on(AVX512, { ONEDNN_MAX_CPU_ISA: 'AVX2' }), false],
    ['the same in small letters', on(AVX512, { ONEDNN_MAX_CPU_ISA: 'avx2_vnni_2' }), false],
    ["oneDNN's older name of the setting", on(AVX512, { DNNL_MAX_CPU_ISA: 'SSE41' }), false],
    ['a limit that AVX-512 is within', on(AVX512, { ONEDNN_MAX_CPU_ISA: 'AVX512_CORE_AMX' }), true],
    ['no limit', on(AVX512, { ONEDNN_MAX_CPU_ISA: 'DEFAULT' }), true],
    ['a limit beyond the processor', on(AVX2, { ONEDNN_MAX_CPU_ISA: 'AVX512_CORE' }), false],
  ])('are found by what the processor says: %s', (_, processor, expected) => {
    expect(hasBf16Instructions(processor)).toBe(expected);
  });

  test('decide unless the path is forced', () => {
    for (const cpuinfo of [AVX2, AVX512]) {
      expect(prefersBf16Products(on(cpuinfo))).toBe(cpuinfo === AVX512);
      expect(prefersBf16Products(on(cpuinfo, { VITRINE_BF16_PRODUCTS: '' }))).toBe(cpuinfo === AVX512);
      expect(prefersBf16Products(on(cpuinfo, { VITRINE_BF16_PRODUCTS: '0' }))).toBe(false);
      expect(prefersBf16Products(on(cpuinfo, { VITRINE_BF16_PRODUCTS: '1' }))).toBe(true);
    }
    expect(() => prefersBf16Products(on(AVX2, { VITRINE_BF16_PRODUCTS: 'yes' }))).toThrow(
      'VITRINE_BF16_PRODUCTS: expected 0 (f32 products) or 1 (bf16 products), got "yes".',
    );
  });
});

describe.each([false, true])('a backend with bf16 products: %s', (bf16Products) => {
  const backend = new TensorflowBackend({ bf16Products });

  test('says so in its description', () => {
    expect(backend.multipliesBf16).toBe(bf16Products);
  });

  test.each([2, 3, 9, 40])('multiplies %i rows in bf16 with one rounding of the sum', (rows) => {
    // 1 + 2^-9 is no bf16, and nor is the sum of 1 and 2^-9.
    const x = [1, 2 ** -9];
    const weight = new Parameter('w', [1, 2], 'bf16');
    const bytes = backend.allocate(4);
    bytes.set([0x80, 0x3f, 0x80, 0x3f]); // 1, 1
    weight.fill(new Tensor(backend, backend.upload(bytes, [1, 2], 'bf16'), [1, 2], 'bf16'));
    const product = (compute: 'f32' | 'bf16'): number[] => {
      let values: number[] = [];
      scope('', () => {
        const input = Tensor.from(
          backend,
          Float32Array.from({ length: 2 * rows }, (_, i) => x[i % 2]),
          [rows, 2],
        );
        values = [...linear(input, { weight, bias: undefined, sizes: [1], compute }).data()];
      });
      return [...new Set(values)];
    };
    expect(product('f32')).toEqual([1 + 2 ** -9]);
    // Up to 8 rows are multiplied by kernels that do not round the sum, where products are not in bf16 by themselves.
    expect(product('bf16')).toEqual([!bf16Products && rows <= 8 ? 1 + 2 ** -9 : 1]);
    weight.dispose();
  });
});
