import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** The test files of `npm run test:quick` (`vitest run --mode quick`): some of each folder, in under 45 s. */
const QUICK = [
  'test/*.test.ts',
  'test/platform/deadline.test.ts',
  'test/tensor/{errors,formats,formats-quantised,scope,tap}.test.ts',
  'test/tensor/cpu/{kernels,processor}.test.ts',
  'test/tokenizer/{channel-parser,chat-template,pipeline-steps,tool-calls}.test.ts',
  'test/loader/{gguf-header,gguf-parts,gguf-settings,model-folder,open-folder}.test.ts',
  'test/sampling/*.test.ts',
  'test/hooks/run.test.ts',
  'test/model/cache/slots.test.ts',
  'test/model/weights/*.test.ts',
  'test/model/parts/rope.test.ts',
  'test/model/families/transformers.test.ts',
  'test/engine/model.test.ts',
  'test/engine/generate/{generate-options,stop-strings}.test.ts',
  'test/bench/{labels,model-hash,report-rows}.test.ts',
  'test/cli/{info,printable,progress-line}.test.ts',
  'test/setup/ensure-default-model.test.ts',
];

/** Tests that depend on how bf16 weights are multiplied: run both ways, whatever the processor does by itself. */
const BOTH_PATHS = [
  'test/bench/experts.test.ts',
  'test/bench/suites.test.ts',
  'test/engine/{compute,generate/{capture,generate},model}.test.ts',
  'test/tensor/conformance.test.ts',
];

/**
 * Test files with a process of their own: they replace modules, measure the process or what its garbage collector frees, load the addon
 * with settings of their own, or run the package's code beside its sources. All others share processes, which spares each the start of
 * one and the import of the modules.
 */
const ISOLATED = [
  'test/bench/{compare-reports,labels,model-bench,peers}.test.ts',
  'test/cli/{ctrl-c,process}.test.ts',
  'test/engine/forgotten.test.ts',
  'test/engine/load/load-abort.test.ts',
  'test/loader/{hub,hub-faults,safetensors}.test.ts',
  'test/platform/*.test.ts',
  'test/setup/{native,package}.test.ts',
  'test/tensor/{scope,traced-tensors}.test.ts',
  'test/tokenizer/{chat-template-limits,hostile-tokenizers}.test.ts',
];

const F32_PRODUCTS = { VITRINE_BF16_PRODUCTS: '0' };

const QUICK_PROJECT = {
  extends: true as const,
  test: { name: 'quick', include: QUICK, isolate: false, env: { ...F32_PRODUCTS, VITRINE_TESTS: 'quick' } },
};

const PROJECTS = [
  {
    extends: true as const,
    test: {
      name: 'f32 products',
      include: ISOLATED,
      env: F32_PRODUCTS,
      globalSetup: 'test/support/print-paths.ts',
    },
  },
  {
    extends: true as const,
    test: {
      name: 'f32 products, shared process',
      include: ['test/**/*.test.ts'],
      exclude: ISOLATED,
      isolate: false,
      env: F32_PRODUCTS,
    },
  },
  {
    extends: true as const,
    test: { name: 'bf16 products', include: BOTH_PATHS, isolate: false, env: { VITRINE_BF16_PRODUCTS: '1' } },
  },
];

export default defineConfig(({ mode }) => ({
  test: {
    pool: 'forks',
    // vitest leaves one core to itself, which on two is half of them.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Far above what any test takes: they end tests that hang, also on a machine with much else to do.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    setupFiles: 'test/support/set-up.ts',
    // Transformed modules stay from one run to the next.
    experimental: { fsModuleCache: true },
    projects: mode === 'quick' ? [QUICK_PROJECT] : PROJECTS,
  },
}));
