import { spawnSync } from 'node:child_process';
import { beforeAll } from 'vitest';

/** What a process of its own shows only (signals, pipes, memory) is tried on the build, which this brings up to date. */
export function bringUpToDate(): void {
  beforeAll(() => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/build.mjs'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  }, 300_000);
}

/** The address of a compiled module. */
export const dist = (module: string): string => new URL(`../../dist/${module}`, import.meta.url).href;
