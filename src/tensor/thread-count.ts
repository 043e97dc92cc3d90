import { availableParallelism } from 'node:os';
import { type Check, whole } from '../options.ts';

/** A thread takes some 10 MB, and those beyond the cores make nothing faster. */
const MOST_THREADS = Math.max(64, availableParallelism());

/** How many threads a backend may be asked for: up to 64, or as many as there are cores where these are more. */
export const THREADS: Check = whole(1, MOST_THREADS);
