import { parseArgs } from 'node:util';
import type { LoadOptions } from 'vitrine';

/** What is measured, and on what. */
export interface BenchOptions extends Pick<LoadOptions, 'backend' | 'weights' | 'threads'> {
  readonly model: string;
  /** Tokens of the prompt. */
  readonly pp: number;
  /** Tokens generated. */
  readonly tg: number;
  readonly repetitions: number;
  /** File for the figures. */
  readonly json: string | undefined;
}

const USAGE = `Usage: npm run bench [-- options]
  --model PATH      a folder, a .gguf file, or org/name (default: the default model)
  --pp N            tokens of the prompt (default 512)
  --tg N            tokens generated (default 64)
  -r, --repetitions N   after one that does not count (default 5)
  --backend NAME    auto, tensorflow or reference (default auto)
  --weights DTYPE   auto, f32 or bf16 (default auto)
  --threads N       of the backend (default: all cores)
  --json FILE       write all samples, the machine and the options there
`;

/** Reads the command line; `--help` and mistakes end the process. */
export function benchOptions(args: readonly string[]): BenchOptions {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        model: { type: 'string' },
        pp: { type: 'string', default: '512' },
        tg: { type: 'string', default: '64' },
        repetitions: { type: 'string', short: 'r', default: '5' },
        backend: { type: 'string', default: 'auto' },
        weights: { type: 'string', default: 'auto' },
        threads: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    return {
      model: values.model ?? fail('--model: expected a folder, a .gguf file, or org/name'),
      pp: positive('--pp', values.pp),
      tg: positive('--tg', values.tg),
      repetitions: positive('-r', values.repetitions),
      backend: oneOf('--backend', values.backend, ['auto', 'tensorflow', 'reference']),
      weights: oneOf('--weights', values.weights, ['auto', 'f32', 'bf16']),
      threads: values.threads === undefined ? undefined : positive('--threads', values.threads),
      json: values.json,
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
