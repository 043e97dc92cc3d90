import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/model/config/config-error.ts';
import { parseRope } from '../../../src/model/config/rope-config.ts';
import { inverseFrequencies, ropeBorder, rotationTables } from '../../../src/model/parts/rope.ts';

const defaults = { theta: 10000, headDim: 128, maxPositions: 8192, partial: true };

/** Asserts values of the frequency table to 1e-6 relative. */
function expectFrequencies(frequencies: Float64Array, expected: Readonly<Record<number, number>>): void {
  for (const [i, value] of Object.entries(expected)) {
    expect(Math.abs(frequencies[Number(i)] / value - 1), `f_${i}`).toBeLessThan(1e-6);
  }
}

describe('inverseFrequencies', () => {
  const llama3 = { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 };

  test('llama3, Llama 3.1: unchanged to 28, blended to 34, divided from 35 on', () => {
    const rope_scaling = { ...llama3, factor: 8, original_max_position_embeddings: 8192 };
    const config = { rope_theta: 500000, max_position_embeddings: 131072, rope_scaling };
    const { frequencies, attentionScaling } = inverseFrequencies(parseRope(config, defaults), 1);
    const base = inverseFrequencies(parseRope({ rope_theta: 500000 }, defaults), 1).frequencies;
    expect(base[29]).toBeCloseTo(2.616099253e-3, 12);
    expect([...frequencies.subarray(0, 29)]).toEqual([...base.subarray(0, 29)]);
    expect([...frequencies.subarray(35)]).toEqual([...base.subarray(35)].map((f) => f / 8));
    expectFrequencies(frequencies, { 29: 2.166570764e-3, 34: 1.785078128e-4, 63: 3.068925989e-7 });
    expect(attentionScaling).toBe(1);
  });

  test('llama3, Llama 3.2 1B', () => {
    const rope_scaling = { ...llama3, factor: 32, original_max_position_embeddings: 8192 };
    const rope = parseRope({ rope_theta: 500000, rope_scaling }, { ...defaults, headDim: 64 });
    expectFrequencies(inverseFrequencies(rope, 1).frequencies, { 16: 4.295567966e-4 });
  });

  test('yarn without truncation, gpt-oss', () => {
    const rope_scaling = {
      ...{ rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
      original_max_position_embeddings: 4096,
    };
    const rope = parseRope({ rope_theta: 150000, rope_scaling }, { ...defaults, headDim: 64 });
    const { frequencies, attentionScaling } = inverseFrequencies(rope, 1);
    expectFrequencies(frequencies, { 9: 3.170569618e-2, 12: 6.79495949e-3, 17: 1.293187012e-4, 31: 3.023511428e-7 });
    expect(attentionScaling).toBeCloseTo(1.3465735903, 9);
  });

  test('yarn with truncation and both mscales, DeepSeek-V3', () => {
    const rope_scaling = {
      ...{ type: 'yarn', factor: 40, beta_fast: 32, beta_slow: 1, mscale: 1, mscale_all_dim: 1 },
      original_max_position_embeddings: 4096,
    };
    const config = { rope_theta: 10000, max_position_embeddings: 163840, rope_scaling };
    const rope = parseRope(config, { ...defaults, headDim: 64 });
    const { frequencies, attentionScaling } = inverseFrequencies(rope, 1);
    expectFrequencies(frequencies, { 10: 10000 ** (-20 / 64), 16: 5.5e-3, 23: 3.33380358e-5 });
    expect(attentionScaling).toBe(1);
  });

  test.each([
    ['attention_factor as given', { attention_factor: 1.25, mscale: 0.707 }, 1.25],
    ['one mscale alone counts for nothing', { mscale: 0.707 }, 0.1 * Math.log(4) + 1],
    ['two mscales: their ratio', { mscale: 2, mscale_all_dim: 1 }, (0.2 * Math.log(4) + 1) / (0.1 * Math.log(4) + 1)],
    ['no stretch, no scaling', { factor: 1 }, 1],
  ])('yarn attention scaling: %s', (_, extra, expected) => {
    const rope_parameters = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, ...extra };
    const rope = parseRope({ rope_parameters }, defaults);
    expect(inverseFrequencies(rope, 1).attentionScaling).toBeCloseTo(expected, 12);
  });

  test('longrope: a divisor for each frequency, by the length of the text', () => {
    const rope_scaling = { type: 'longrope', short_factor: [1, 2], long_factor: [3, 8] };
    const config = { max_position_embeddings: 131072, original_max_position_embeddings: 4096, rope_scaling };
    const rope = parseRope(config, { ...defaults, headDim: 4 });
    const [short, long] = [4096, 4097].map((length) => inverseFrequencies(rope, length));
    expectFrequencies(short.frequencies, { 0: 1, 1: 0.01 / 2 });
    expectFrequencies(long.frequencies, { 0: 1 / 3, 1: 0.01 / 8 });
    expect(short.attentionScaling).toBeCloseTo(1.190238071, 9);
    expect(long.attentionScaling).toBe(short.attentionScaling);
    const given = parseRope({ ...config, rope_scaling: { ...rope_scaling, factor: 1 } }, { ...defaults, headDim: 4 });
    expect(inverseFrequencies(given, 1).attentionScaling).toBe(1);
    expect([ropeBorder(rope), ropeBorder(parseRope({}, defaults)), ropeBorder(undefined)]).toEqual([
      4096,
      Infinity,
      Infinity,
    ]);
  });

  test('linear divides every frequency', () => {
    const rope = parseRope({ rope_scaling: { type: 'linear', factor: 2.5 } }, { ...defaults, headDim: 4 });
    expectFrequencies(inverseFrequencies(rope, 1).frequencies, { 0: 1 / 2.5, 1: 0.01 / 2.5 });
  });

  test('dynamic keeps the base up to the trained length and raises it beyond', () => {
    const config = { max_position_embeddings: 20, rope_scaling: { type: 'dynamic', factor: 2 } };
    const rope = parseRope(config, { ...defaults, headDim: 16 });
    const base = inverseFrequencies(parseRope({}, { ...defaults, headDim: 16 }), 1).frequencies;
    expect(inverseFrequencies(rope, 20).frequencies).toEqual(base);
    // 30 positions: theta * (2 * 30 / 20 - 1)^(16 / 14)
    const theta = 10000 * 2 ** (16 / 14);
    expectFrequencies(inverseFrequencies(rope, 30).frequencies, { 0: 1, 4: theta ** -0.5, 7: theta ** (-14 / 16) });
  });
});

describe('rotationTables', () => {
  test('one row per position, one column per pair, scaled', () => {
    const rope_parameters = { rope_type: 'yarn', factor: 1, attention_factor: 2 };
    const rope = parseRope({ rope_parameters }, { ...defaults, headDim: 4 });
    const { cos, sin } = rotationTables(rope, [0, 3], 4);
    const expected = [0, 0, 3, 0.03];
    expect(cos).toHaveLength(4);
    expected.forEach((angle, i) => {
      expect(cos[i]).toBeCloseTo(2 * Math.cos(angle), 6);
      expect(sin[i]).toBeCloseTo(2 * Math.sin(angle), 6);
    });
  });

  test('angles are f32 products', () => {
    const rope = parseRope({}, { ...defaults, headDim: 64 });
    const { cos } = rotationTables(rope, Int32Array.of(99_991), 99_992);
    const f64 = inverseFrequencies(rope, 99_992).frequencies;
    const angles = Float32Array.from(f64).map((f) => 99_991 * f);
    expect(cos).toEqual(angles.map(Math.cos));
    expect(Math.max(...cos.map((c, i) => Math.abs(c - Math.cos(99_991 * f64[i]))))).toBeGreaterThan(1e-4);
  });
});

describe('parseRope', () => {
  const yarn = { rope_type: 'yarn', factor: 4 };

  test('both styles give the same settings', () => {
    const scaling = { factor: 4, original_max_position_embeddings: 64 };
    const older = {
      ...{ max_position_embeddings: 256, rope_theta: 5000, partial_rotary_factor: 0.5 },
      rope_scaling: { type: 'yarn', ...scaling },
    };
    const newer = {
      max_position_embeddings: 256,
      rope_parameters: { rope_type: 'yarn', rope_theta: 5000, partial_rotary_factor: 0.5, ...scaling },
    };
    expect(parseRope(older, defaults)).toEqual(parseRope(newer, defaults));
    expect(parseRope(newer, defaults)).toMatchObject({ rotaryDim: 64, theta: 5000, maxPositions: 256 });
  });

  test.each([
    ['nothing set', {}, { rotaryDim: 128, theta: 10000, maxPositions: 8192, scaling: { type: 'default' } }],
    ['null scaling', { rope_scaling: null, rope_theta: 2e6 }, { theta: 2e6, scaling: { type: 'default' } }],
    ['rotary dimension truncates', { partial_rotary_factor: 0.8 }, { rotaryDim: 102 }],
    [
      'top-level original length wins',
      { original_max_position_embeddings: 32, rope_scaling: { ...yarn, original_max_position_embeddings: 64 } },
      { scaling: { originalMaxPositions: 32 } },
    ],
    ['original length defaults to the maximum', { rope_scaling: yarn }, { scaling: { originalMaxPositions: 8192 } }],
    [
      'both bounds of yarn may be one',
      { rope_scaling: { ...yarn, beta_fast: 4, beta_slow: 4 } },
      { scaling: { betaFast: 4, betaSlow: 4 } },
    ],
    [
      'null yarn factor is the ratio of the lengths',
      { rope_scaling: { ...yarn, factor: null, original_max_position_embeddings: 2048 } },
      { scaling: { factor: 4 } },
    ],
  ])('%s', (_, config, expected) => {
    expect(parseRope(config, defaults)).toMatchObject(expected);
  });

  test.each([
    [
      { rope_scaling: { rope_type: 'spiral' } },
      /rope_scaling\.rope_type "spiral".*supported: default, linear, dynamic, llama3, yarn, longrope/,
    ],
    [{ rope_parameters: { rope_type: 7 } }, /rope_parameters\.rope_type 7/],
    [{ rope_scaling: 'linear' }, /rope_scaling must be an object or null, got "linear"/],
    [{ rope_theta: '10000' }, /rope_theta must be a finite number above 1, got "10000"/],
    [{ rope_theta: -1 }, /rope_theta .* got -1/],
    [{ rope_theta: Number.NaN }, /rope_theta .* got NaN/],
    [{ partial_rotary_factor: 1.5 }, /partial_rotary_factor .* got 1\.5/],
    [{ max_position_embeddings: 0 }, /max_position_embeddings .* got 0/],
    [{ rope_scaling: { type: 'linear' } }, /rope_scaling\.factor .* got nothing/],
    [{ rope_scaling: { type: 'dynamic', factor: Infinity } }, /rope_scaling\.factor .* got Infinity/],
    [{ rope_scaling: { ...yarn, beta_fast: 0.5 } }, /rope_scaling\.beta_fast must be at least beta_slow, 1, got 0\.5/],
    [{ rope_scaling: { ...yarn, truncate: 'no' } }, /rope_scaling\.truncate must be true or false, got "no"/],
    [
      { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
      /rope_scaling\.high_freq_factor must be a finite number above low_freq_factor, 4, got 4/,
    ],
    [{ rope_parameters: { full_attention: {}, sliding_attention: {} } }, /\(full_attention, sliding_attention\)/],
    [{ partial_rotary_factor: 0.01 }, /rotary dimension must be even and at least 2, got 1/],
  ])('refuses %j', (config, message) => {
    expect(() => parseRope(config, defaults)).toThrow(message);
    expect(() => parseRope(config, defaults)).toThrow(ConfigError);
  });
});
