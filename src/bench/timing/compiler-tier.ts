import { Script } from 'node:vm';

/** The V8 compiler that made a function's code. */
export type Tier = 'interpreter' | 'Sparkplug' | 'Maglev' | 'TurboFan';

/** Bits of V8's `OptimizationStatus`, the same since V8 11 (Node 20). */
const MAGLEV = 1 << 5;
const TURBOFAN = 1 << 6;
const BASELINE = 1 << 15;

let status: ((f: unknown) => number) | false | undefined;

/** The tier of a function's code now; undefined in a process without `--allow-natives-syntax`. Measuring processes have it. */
export function tierOf(f: unknown): Tier | undefined {
  status ??= statusFunction();
  if (status === false) return undefined;
  const bits = status(f);
  if (bits & TURBOFAN) return 'TurboFan';
  if (bits & MAGLEV) return 'Maglev';
  return bits & BASELINE ? 'Sparkplug' : 'interpreter';
}

/** Whether a tier is an optimising compiler. */
export const isOptimised = (tier: Tier): boolean => tier === 'Maglev' || tier === 'TurboFan';

function statusFunction(): ((f: unknown) => number) | false {
  try {
    return new Script('(f) => %GetOptimizationStatus(f)').runInThisContext() as (f: unknown) => number;
  } catch {
    return false; // A syntax error: natives are not allowed.
  }
}
