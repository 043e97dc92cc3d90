import type { CaseResult, CaseSpec } from '../cases/case-spec.ts';
import type { Limits } from '../machine/machine-limits.ts';
import type { Overhead } from '../timing/blocks.ts';
import type { ModelSpeed, ModelSpeedSpec } from './model-speed.ts';

/** A request to a measuring process. */
export type Request =
  | { readonly kind: 'case'; readonly spec: CaseSpec }
  | { readonly kind: 'limits'; readonly threads: number; readonly effort: number }
  | { readonly kind: 'overhead' }
  | { readonly kind: 'model'; readonly spec: ModelSpeedSpec };

/** The answer to each kind of request. */
export interface Answers {
  readonly case: CaseResult;
  readonly limits: Limits;
  readonly overhead: Overhead;
  readonly model: ModelSpeed;
}

/** A measuring process's message. `explained`: the error's message is written for the user. */
export type Answer = { readonly value: unknown } | { readonly error: string; readonly explained: boolean };
