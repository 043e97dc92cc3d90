import { checkArgument, type Checks, checkOptions, FLAG, oneOf, OptionError } from '../options.ts';
import type { Backend } from './backend.ts';
import { VitrineError } from '../errors.ts';
import { ReferenceBackend } from './reference/reference-backend.ts';
import { loadAddon } from './tensorflow/addon.ts';
import { TensorflowBackend, type TensorflowOptions } from './tensorflow/tensorflow-backend.ts';
import { THREADS } from './thread-count.ts';

/** The names by which a backend is asked for. */
export type BackendName = Backend['name'];

/** In the order of preference of `auto`. One instance serves all models of a process, so that they can share tensors. */
const BACKENDS: Record<BackendName, (options: TensorflowOptions) => Backend> = {
  tensorflow: ({ variables, bf16Products, ...settings }) => {
    loadAddon(settings); // Refuses settings other than those it was loaded with.
    return shared(
      `tensorflow ${variables} ${bf16Products}`,
      () => new TensorflowBackend({ ...settings, variables, bf16Products }),
    );
  },
  reference: () => shared('reference', () => new ReferenceBackend()),
};

const instances = new Map<string, Backend>();

function shared(key: string, create: () => Backend): Backend {
  const known = instances.get(key) ?? create();
  instances.set(key, known);
  return known;
}

const CHECKS: Checks<TensorflowOptions> = {
  threads: THREADS,
  tf32: FLAG,
  variables: oneOf('host', 'device'),
  bf16Products: FLAG,
};

/** What came of trying a backend: for `vitrine info`. */
export interface BackendStatus {
  readonly name: BackendName;
  readonly backend: Backend | undefined;
  /** What it computes on, or why it cannot be used and what to do. */
  readonly description: string;
}

/** Tries every backend, best first. */
export function backendStatus(options: TensorflowOptions = {}): BackendStatus[] {
  checkOptions('backendStatus', options, CHECKS);
  return (Object.keys(BACKENDS) as BackendName[]).map((name) => {
    try {
      const backend = BACKENDS[name](options);
      return { name, backend, description: backend.description };
    } catch (error) {
      // Another backend is no answer to options that this one cannot take.
      if (!(error instanceof VitrineError) || error instanceof OptionError) throw error;
      return { name, backend: undefined, description: error.message };
    }
  });
}

/**
 * A backend by name; `auto` is the best one that can be used here. The same name and options give the same instance, within
 * a process; TensorFlow takes `threads` and `tf32` once.
 *
 * @throws VitrineError if the named backend does not exist or cannot be used, with what to do.
 */
export function createBackend(name: BackendName | 'auto' = 'auto', options: TensorflowOptions = {}): Backend {
  checkOptions('createBackend', options, CHECKS);
  checkArgument('createBackend', 'name', name, oneOf('auto', ...Object.keys(BACKENDS)));
  if (name === 'auto') return backendStatus(options).find(({ backend }) => backend !== undefined)!.backend!;
  return BACKENDS[name](options);
}
