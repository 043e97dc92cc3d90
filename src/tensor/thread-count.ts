import { type Check, whole } from '../options.ts';
import { coreCount } from '../platform/cores.ts';

/** A thread takes about 10 MB, and more threads than cores make nothing faster. */
const MOST_THREADS = Math.max(64, coreCount());

/** The `threads` option of a backend: 1 to 64, or to the number of cores where that is larger. */
export const THREADS: Check = whole(1, MOST_THREADS);
