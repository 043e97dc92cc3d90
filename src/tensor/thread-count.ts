import { type Check, whole } from '../options.ts';
import { coreCount } from '../platform/cores.ts';

/** A thread takes some 10 MB, and threads beyond the number of cores make nothing faster. */
const MOST_THREADS = Math.max(64, coreCount());

/** The number of threads that a backend may be asked for: up to 64, or to the number of cores where that is more. */
export const THREADS: Check = whole(1, MOST_THREADS);
