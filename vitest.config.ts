import { defineConfig } from 'vitest/config';

/** What depends on how bf16 weights are multiplied: run both ways, whatever the processor does by itself. */
const BOTH_PATHS = [
  'test/bench/experts.test.ts',
  'test/bench/suites.test.ts',
  'test/engine/{generate,model}.test.ts',
  'test/hooks/run.test.ts',
  'test/real/model.test.ts',
  'test/tensor/conformance.test.ts',
];

export default defineConfig({
  test: {
    // The addon lives in the process, so each test file gets a process of its own.
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'f32 products',
          include: ['test/**/*.test.ts'],
          env: { VITRINE_BF16_PRODUCTS: '0' },
          globalSetup: 'test/support/print-paths.ts',
        },
      },
      {
        extends: true,
        test: { name: 'bf16 products', include: BOTH_PATHS, env: { VITRINE_BF16_PRODUCTS: '1' } },
      },
    ],
  },
});
