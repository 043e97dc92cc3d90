import { VitrineError } from '../../errors.ts';
import type { Suite } from './suite.ts';
import { attention } from './attention-suite.ts';
import { experts } from './experts-suite.ts';
import { linear } from './linear-suite.ts';
import { rmsNorm } from './rms-norm-suite.ts';
import { rotate } from './rotate-suite.ts';
import { softmax } from './softmax-suite.ts';
import { swiglu } from './swiglu-suite.ts';

/** All suites, in the order in which a token passes them. `softmax` is a part of `attention`, so no sum of ops counts it. */
export const SUITES: readonly Suite[] = [rmsNorm, linear, rotate, attention, softmax, swiglu, experts];

/** A suite by name. @throws {VitrineError} when there is none of that name; the message lists all. */
export function suiteOf(name: string): Suite {
  const suite = SUITES.find((candidate) => candidate.name === name);
  if (suite === undefined)
    throw new VitrineError(`bench: there is no suite "${name}". Choose ${SUITES.map((one) => one.name).join(', ')}.`);
  return suite;
}
