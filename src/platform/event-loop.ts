import { setImmediate } from 'node:timers/promises';

/** Resolves once the event loop has handled what was waiting: timers, input and output, aborts. */
export const nextTurn = (): Promise<void> => setImmediate();
