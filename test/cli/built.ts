import { spawnSync } from 'node:child_process';
import { beforeAll } from 'vitest';

/** Compiles dist/ if it is out of date, for tests that need a process: signals, pipes, memory. */
export function buildFirst(): void {
  beforeAll(() => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/build.mjs'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  }, 300_000);
}

/** The address of a compiled module. */
export const dist = (module: string): string => new URL(`../../dist/${module}`, import.meta.url).href;
