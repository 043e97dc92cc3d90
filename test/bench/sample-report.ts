import type { Fingerprint } from '../../src/bench/machine/fingerprint.ts';
import type { Report, Row } from '../../src/bench/run/report.ts';

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

/** A row of a baseline that takes one second, with some fields replaced. */
export const sampleRow = (more: Partial<Row> = {}): Row => ({
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
  seconds: { median: 1, low: 1, high: 1 },
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
  samples: [[1]],
  command: 'vitrine bench linear',
  ...more,
});

/** A report of some rows, from a machine of which some fields are replaced. */
export const sampleReport = (rows: readonly Row[], machine: Partial<Fingerprint> = {}): Report => ({
  format: 'vitrine-bench',
  version: 1,
  fingerprint: { ...FINGERPRINT, ...machine },
  limits: [],
  overhead: { sample: 1e-7, call: 1e-9 },
  rows,
  predictions: [],
});
