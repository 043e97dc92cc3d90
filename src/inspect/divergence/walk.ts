import type { Recording } from '../recording.ts';
import type { Rounding } from './rounding.ts';

/** The passes, and the rounding on the way so far. */
export interface Walk {
  readonly a: Recording;
  readonly b: Recording;
  readonly oracle: Recording | undefined;
  readonly tokens: readonly number[];
  readonly between: Rounding;
  readonly ofA: Rounding;
  readonly ofB: Rounding;
}
