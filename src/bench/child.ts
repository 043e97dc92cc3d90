// A process that measures: what it is told to comes as messages, and each is answered by one.
import { measureOverhead, type Overhead } from './blocks.ts';
import { type Limits, measureLimits } from './limits.ts';
import { type CaseResult, type CaseSpec, measureCase } from './measure.ts';
import { type ModelSpeed, measureModel, type ModelSpeedSpec } from './model-speed.ts';

export type Request =
  | { readonly kind: 'case'; readonly spec: CaseSpec }
  | { readonly kind: 'limits'; readonly threads: number }
  | { readonly kind: 'overhead' }
  | { readonly kind: 'model'; readonly spec: ModelSpeedSpec };

/** What answers each kind of request. */
export interface Answers {
  readonly case: CaseResult;
  readonly limits: Limits;
  readonly overhead: Overhead;
  readonly model: ModelSpeed;
}

export type Answer = { readonly value: unknown } | { readonly error: string; readonly explained: boolean };

async function answer(request: Request): Promise<Answers[Request['kind']]> {
  switch (request.kind) {
    case 'case':
      return measureCase(request.spec);
    case 'limits':
      return measureLimits(request.threads);
    case 'overhead':
      return measureOverhead();
    case 'model':
      return measureModel(request.spec);
  }
}

process.on('message', (request: Request) => {
  answer(request).then(
    (value) => process.send!({ value } satisfies Answer),
    (error: unknown) => {
      const known = error instanceof Error ? error : new Error(String(error));
      const explained = 'name' in known && known.constructor.name !== 'Error' && known.message !== '';
      process.send!({ error: explained ? known.message : (known.stack ?? known.message), explained } satisfies Answer);
    },
  );
});
process.on('disconnect', () => process.exit());
