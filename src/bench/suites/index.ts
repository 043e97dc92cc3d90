import { VitrineError } from '../../errors.ts';
import type { Suite } from '../suite.ts';
import { attention } from './attention.ts';
import { experts } from './experts.ts';
import { linear } from './linear.ts';
import { rmsNorm } from './rms-norm.ts';
import { rotate } from './rotate.ts';
import { softmax } from './softmax.ts';
import { swiglu } from './swiglu.ts';

/** In the order in which a token passes them. `softmax` is a part of `attention`, so no sum of ops counts it. */
export const SUITES: readonly Suite[] = [rmsNorm, linear, rotate, attention, softmax, swiglu, experts];

/** @throws VitrineError that names the suites there are. */
export function suiteOf(name: string): Suite {
  const suite = SUITES.find((candidate) => candidate.name === name);
  if (suite === undefined)
    throw new VitrineError(`bench: there is no suite "${name}". Choose ${SUITES.map((one) => one.name).join(', ')}.`);
  return suite;
}
