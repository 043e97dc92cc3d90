// The program of a measuring process: it answers each request by one message.
import { measureCase } from '../cases/measure-case.ts';
import { measureLimits } from '../machine/machine-limits.ts';
import { measureOverhead } from '../timing/blocks.ts';
import type { Answer, Answers, Request } from './messages.ts';
import { measureModel } from './model-speed.ts';

async function answer(request: Request): Promise<Answers[Request['kind']]> {
  switch (request.kind) {
    case 'case':
      return measureCase(request.spec);
    case 'limits':
      return measureLimits(request.threads, request.effort);
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
