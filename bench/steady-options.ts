import { parseArgs } from 'node:util';
import { BACKEND_NAMES, type LoadOptions } from 'vitrine';

/** The model to watch, and how it is loaded. */
export interface SteadyOptions extends Pick<LoadOptions, 'backend' | 'weights' | 'threads'> {
  readonly model: string;
}

const BACKENDS = ['auto', ...BACKEND_NAMES] as const;

const USAGE = `Usage: npm run bench:steady [-- options]
  --model PATH      a folder, a .gguf file, or org/name (default: the default model)
  --backend NAME    ${BACKENDS.join(', ')} (default auto)
  --weights DTYPE   auto, f32 or bf16 (default auto)
  --threads N       threads of the backend (default: all cores)
`;

/** Reads the command line. `--help` and errors end the process. */
export function steadyOptions(args: readonly string[]): SteadyOptions {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        model: { type: 'string' },
        backend: { type: 'string', default: 'auto' },
        weights: { type: 'string', default: 'auto' },
        threads: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    return {
      model: values.model ?? fail('--model: expected a folder, a .gguf file, or org/name'),
      backend: oneOf('--backend', values.backend, BACKENDS),
      weights: oneOf('--weights', values.weights, ['auto', 'f32', 'bf16']),
      threads: values.threads === undefined ? undefined : positive('--threads', values.threads),
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(1);
  }
}

function positive(name: string, value: string): number {
  const parsed = Number(value);
  return Number.isSafeInteger(parsed) && parsed > 0
    ? parsed
    : fail(`${name}: expected a whole number from 1, got ${value}`);
}

function oneOf<const T extends string>(name: string, value: string, choices: readonly T[]): T {
  return choices.find((choice) => choice === value) ?? fail(`${name}: expected ${choices.join(', ')}, got ${value}`);
}

function fail(message: string): never {
  throw new Error(message);
}
