import { checkArgument, type Checks, checkOptions, FLAG, oneOf, OptionError } from '../options.ts';
import type { Backend } from './backend.ts';
import { VitrineError } from '../errors.ts';
import { ReferenceBackend } from './reference/reference-backend.ts';
import { loadAddon } from './tensorflow/addon.ts';
import { TensorflowBackend, type TensorflowOptions } from './tensorflow/tensorflow-backend.ts';
import { THREADS } from './thread-count.ts';

interface BackendEntry {
  /** @throws {VitrineError} when the backend cannot be used here; the message says what to do. */
  readonly open: (options: TensorflowOptions) => Backend;
  /** Whether it defines the ops in plain loops: the oracle of tests and benchmarks, and too slow to be compared by time. */
  readonly isReference?: boolean;
}

/** All backends, in the order in which `auto` tries them. To add one is a folder and a line here: every other list is read off this one. */
const BACKENDS = {
  tensorflow: { open: openTensorflow },
  reference: { open: () => shared('reference', () => new ReferenceBackend()), isReference: true },
  'reference-f64': {
    open: () => shared('reference-f64', () => new ReferenceBackend(Float64Array)),
    isReference: true,
  },
} satisfies Record<string, BackendEntry>;

/** The name of a backend. */
export type BackendName = keyof typeof BACKENDS;

/** The names of all backends, in the order in which `auto` tries them. */
export const BACKEND_NAMES = Object.keys(BACKENDS) as readonly BackendName[];

/** Whether a backend defines the ops in plain loops: the oracle of tests and benchmarks. */
export const isReference = (name: BackendName): boolean => entryOf(name).isReference ?? false;

const entryOf = (name: BackendName): BackendEntry => BACKENDS[name];

/** One instance serves all models of a process, so that they can share tensors. */
const instances = new Map<string, Backend>();

function shared(key: string, create: () => Backend): Backend {
  const known = instances.get(key) ?? create();
  instances.set(key, known);
  return known;
}

function openTensorflow({ variables, bf16Products, ...settings }: TensorflowOptions): Backend {
  loadAddon(settings); // Refuses settings other than those it was loaded with.
  return shared(
    `tensorflow ${variables} ${bf16Products}`,
    () => new TensorflowBackend({ ...settings, variables, bf16Products }),
  );
}

const CHECKS: Checks<TensorflowOptions> = {
  threads: THREADS,
  tf32: FLAG,
  variables: oneOf('host', 'device'),
  bf16Products: FLAG,
};

/** Whether a backend can be used here: for `vitrine info`. */
export interface BackendStatus {
  readonly name: BackendName;
  /** Undefined where it cannot be used. */
  readonly backend: Backend | undefined;
  /** The device that it computes on; or why it cannot be used, and what to do about it. */
  readonly description: string;
}

/**
 * Tries every backend, in the order in which `auto` prefers them.
 *
 * @throws {OptionError} for options that a backend cannot take.
 */
export function backendStatus(options: TensorflowOptions = {}): BackendStatus[] {
  checkOptions('backendStatus', options, CHECKS);
  return BACKEND_NAMES.map((name) => {
    try {
      const backend = entryOf(name).open(options);
      return { name, backend, description: backend.description };
    } catch (error) {
      // Wrong options are the caller's error: another backend would hide it.
      if (!(error instanceof VitrineError) || error instanceof OptionError) throw error;
      return { name, backend: undefined, description: error.message };
    }
  });
}

/**
 * Gives a backend by name; `auto` is the best one that can be used here. Within a process, the same name and options give
 * the same instance, and TensorFlow accepts only the `threads` and `tf32` that it was first loaded with.
 *
 * @throws {OptionError} for an unknown name, or options that the backend cannot take.
 * @throws {VitrineError} when the named backend cannot be used here; the message says what to do.
 */
export function createBackend(name: BackendName | 'auto' = 'auto', options: TensorflowOptions = {}): Backend {
  checkOptions('createBackend', options, CHECKS);
  checkArgument('createBackend', 'name', name, oneOf('auto', ...BACKEND_NAMES));
  if (name === 'auto') return backendStatus(options).find(({ backend }) => backend !== undefined)!.backend!;
  return entryOf(name).open(options);
}
