import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os';
import { arch, execArgv, version, versions } from 'node:process';
import { backendStatus } from '../../tensor/backends.ts';

/** The machine, runtime and model of a measurement: figures of two reports are comparable only if these agree. */
export interface Fingerprint {
  readonly cpu: string;
  readonly platform: string;
  /** Cores that this process may use. */
  readonly cores: number;
  /** Vector and matrix instructions of the processor, by which kernels are chosen. */
  readonly instructions: readonly string[];
  /** Bytes of memory. */
  readonly memory: number;
  /** Bytes of the last-level cache. */
  readonly lastCache: number;
  readonly node: string;
  readonly v8: string;
  /** Flags of Node, on the command line and in NODE_OPTIONS. */
  readonly flags: readonly string[];
  readonly threads: number;
  /** By name: what each backend computes on, with versions, or why it cannot be used. */
  readonly backends: Readonly<Record<string, string>>;
  /** The environment variables of TensorFlow, oneDNN, OpenMP and CUDA that are set. */
  readonly environment: Readonly<Record<string, string>>;
  /** Hashes of the models, separated by commas: see `modelHash`. */
  readonly model: string;
  readonly vitrine: string;
  readonly date: string;
  /** The system's load average over the last minute. */
  readonly load: number;
}

/** The fields that must agree before the times of two reports are compared. */
const MUST_AGREE = [
  'cpu',
  'platform',
  'cores',
  'instructions',
  'lastCache',
  'node',
  'flags',
  'threads',
  'backends',
  'environment',
  'model',
] as const satisfies readonly (keyof Fingerprint)[];

/** The settings that a fingerprint includes. */
export interface FingerprintSubject {
  /** Default: all cores. */
  readonly threads: number | undefined;
  /** As `modelHash` gives it; several are separated by commas. */
  readonly model: string;
}

/** Describes this machine, this runtime and the measured model. */
export function fingerprint({ threads, model }: FingerprintSubject): Fingerprint {
  const environment = Object.entries(process.env).filter(([name]) => /^(TF|ONEDNN|DNNL|OMP|NVIDIA|CUDA)_/.test(name));
  const backends = Object.fromEntries(backendStatus({ threads }).map(({ name, description }) => [name, description]));
  return {
    cpu: cpus().at(0)?.model.trim() ?? 'unknown',
    platform: `${platform()}-${arch}`,
    cores: availableParallelism(),
    instructions: instructions(),
    memory: totalmem(),
    lastCache: lastCacheBytes(),
    node: version,
    v8: versions.v8,
    flags: [...execArgv, ...(process.env.NODE_OPTIONS ?? '').split(' ').filter(Boolean)],
    threads: threads ?? availableParallelism(),
    backends,
    environment: Object.fromEntries(environment.filter((entry): entry is [string, string] => entry[1] !== undefined)),
    model,
    vitrine: packageVersion(),
    date: new Date().toISOString(),
    load: loadavg()[0],
  };
}

/** The differences that forbid comparing two reports, in words: `node: "v20.1.0" and "v22.0.0"`. */
export function unlike(a: Fingerprint, b: Fingerprint): string[] {
  return MUST_AGREE.filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key])).map(
    (key) => `${key}: ${JSON.stringify(a[key])} and ${JSON.stringify(b[key])}`,
  );
}

/** The size assumed on systems that do not tell it: more than nearly all processors have. */
const ASSUMED_LAST_CACHE = 32 * 2 ** 20;

/** Bytes of the last-level cache. */
export function lastCacheBytes(): number {
  for (const index of [3, 2]) {
    try {
      const text = readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, 'utf8').trim();
      const size = /^(\d+)([KM])$/.exec(text);
      if (size !== null) return Number(size[1]) * (size[2] === 'M' ? 2 ** 20 : 2 ** 10);
    } catch {
      // Not Linux, or no such cache.
    }
  }
  return ASSUMED_LAST_CACHE;
}

function instructions(): string[] {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'));
    return (flags?.[1] ?? '')
      .split(' ')
      .filter((flag) => /^(avx|fma|amx|f16c|sse4|vnni|asimd|sve|bf16|i8mm)/.test(flag))
      .sort();
  } catch {
    return [];
  }
}

function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
