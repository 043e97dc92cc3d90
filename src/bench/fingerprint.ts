import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os';
import { arch, execArgv, version, versions } from 'node:process';
import { backendStatus } from '../tensor/backends.ts';

/** What a figure belongs to; without it the figure says nothing. */
export interface Fingerprint {
  readonly cpu: string;
  readonly platform: string;
  readonly cores: number;
  /** Vector and matrix instructions that decide which kernels run. */
  readonly instructions: readonly string[];
  readonly memory: number;
  /** Bytes of the last cache that cores share. */
  readonly lastCache: number;
  readonly node: string;
  readonly v8: string;
  /** Flags of Node, on the command line and in NODE_OPTIONS. */
  readonly flags: readonly string[];
  readonly threads: number;
  /** What each backend computes on, with versions; why, where it cannot be used. */
  readonly backends: Readonly<Record<string, string>>;
  /** Environment variables that TensorFlow and oneDNN obey, where they are set. */
  readonly environment: Readonly<Record<string, string>>;
  /** Hashes of the models, with commas: see `modelHash`. */
  readonly model: string;
  readonly vitrine: string;
  readonly date: string;
  /** Processes that wanted a core, on average over the last minute. */
  readonly load: number;
}

/** What has to agree before times of two reports say anything of each other. */
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

export interface FingerprintSubject {
  readonly threads: number | undefined;
  /** What `modelHash` gives. */
  readonly model: string;
}

/** Describes this machine, this runtime and what is measured. */
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

/** What keeps two reports from being compared: `node: v20.1.0 and v22.0.0`. */
export function unlike(a: Fingerprint, b: Fingerprint): string[] {
  return MUST_AGREE.filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key])).map(
    (key) => `${key}: ${JSON.stringify(a[key])} and ${JSON.stringify(b[key])}`,
  );
}

/** Where the system does not tell, more than nearly all processors have. */
const USUAL_LAST_CACHE = 32 * 2 ** 20;

/** Bytes of the last-level cache. */
export function lastCacheBytes(): number {
  for (const index of [3, 2]) {
    try {
      const text = readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, 'utf8').trim();
      const size = /^(\d+)([KM])$/.exec(text);
      if (size !== null) return Number(size[1]) * (size[2] === 'M' ? 2 ** 20 : 2 ** 10);
    } catch {
      // Another system, or no such cache.
    }
  }
  return USUAL_LAST_CACHE;
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
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
