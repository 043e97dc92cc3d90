import { Script } from 'node:vm';

/** Which of V8's compilers made the code of a function. */
export type Tier = 'interpreter' | 'Sparkplug' | 'Maglev' | 'TurboFan';

/** Bits of V8's `OptimizationStatus`, the same since V8 11 (Node 20). */
const MAGLEV = 1 << 5;
const TURBOFAN = 1 << 6;
const BASELINE = 1 << 15;

let status: ((f: unknown) => number) | false | undefined;

/** @returns undefined in a process that was not started with `--allow-natives-syntax`; those of the harness are. */
export function tierOf(f: unknown): Tier | undefined {
  status ??= statusFunction();
  if (status === false) return undefined;
  const bits = status(f);
  if (bits & TURBOFAN) return 'TurboFan';
  if (bits & MAGLEV) return 'Maglev';
  return bits & BASELINE ? 'Sparkplug' : 'interpreter';
}

export const isOptimised = (tier: Tier): boolean => tier === 'Maglev' || tier === 'TurboFan';

function statusFunction(): ((f: unknown) => number) | false {
  try {
    return new Script('(f) => %GetOptimizationStatus(f)').runInThisContext() as (f: unknown) => number;
  } catch {
    return false; // A syntax error.
  }
}
