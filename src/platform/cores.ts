import { availableParallelism } from 'node:os';

/** The number of threads that this process can run at once: the cores that the system gives it. */
export const coreCount = (): number => availableParallelism();
