import type { Backend } from './backend.ts';
import { VitrineError } from './errors.ts';
import { ReferenceBackend } from './reference/backend.ts';
import { TensorflowBackend, type TensorflowOptions } from './tensorflow/backend.ts';

export type BackendName = Backend['name'];

/** In the order of preference of `auto`. */
const BACKENDS: Record<BackendName, (options: TensorflowOptions) => Backend> = {
  tensorflow: (options) => new TensorflowBackend(options),
  reference: () => new ReferenceBackend(),
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
  return (Object.keys(BACKENDS) as BackendName[]).map((name) => {
    try {
      const backend = createBackend(name, options);
      return { name, backend, description: backend.description };
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      return { name, backend: undefined, description: error.message };
    }
  });
}

/**
 * A backend by name; `auto` is the best one that can be used here.
 *
 * @throws VitrineError if the named backend does not exist or cannot be used, with what to do.
 */
export function createBackend(name: BackendName | 'auto' = 'auto', options: TensorflowOptions = {}): Backend {
  if (name === 'auto') return backendStatus(options).find(({ backend }) => backend !== undefined)!.backend!;
  if (!Object.hasOwn(BACKENDS, name))
    throw new VitrineError(`backend "${name}" does not exist. Choose auto, ${Object.keys(BACKENDS).join(' or ')}.`);
  return BACKENDS[name](options);
}
