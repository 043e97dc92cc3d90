import { defineConfig } from 'vitest/config';

/** The test files of `npm run test:quick` (`vitest run --mode quick`): some of each folder, in under 45 s. */
const QUICK = ['test/*.test.ts', 'test/sampling/*.test.ts'];

/** Tests that depend on how bf16 weights are multiplied: run both ways, whatever the processor does by itself. */
const BOTH_PATHS = [
  'test/bench/experts.test.ts',
  'test/bench/suites.test.ts',
  'test/engine/{generate/generate,model}.test.ts',
  'test/hooks/run.test.ts',
  'test/real/model.test.ts',
  'test/tensor/conformance.test.ts',
];

const F32_PRODUCTS = { VITRINE_BF16_PRODUCTS: '0' };

const QUICK_PROJECT = { extends: true as const, test: { name: 'quick', include: QUICK, env: F32_PRODUCTS } };

const PROJECTS = [
  {
    extends: true as const,
    test: {
      name: 'f32 products',
      include: ['test/**/*.test.ts'],
      env: F32_PRODUCTS,
      globalSetup: 'test/support/print-paths.ts',
    },
  },
  {
    extends: true as const,
    test: { name: 'bf16 products', include: BOTH_PATHS, env: { VITRINE_BF16_PRODUCTS: '1' } },
  },
];

export default defineConfig(({ mode }) => ({
  test: {
    // The addon lives in the process, so each test file gets a process of its own.
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: mode === 'quick' ? [QUICK_PROJECT] : PROJECTS,
  },
}));
