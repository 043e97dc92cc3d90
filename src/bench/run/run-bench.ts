import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModel } from '../../loader/open/open-model.ts';
import { fingerprint } from '../machine/fingerprint.ts';
import { bestOf, type Limits } from '../machine/machine-limits.ts';
import { inProcess } from '../processes/measuring-process.ts';
import { modelHash } from '../subject/model-hash.ts';
import { type CaseRun, planCases } from './case-runs.ts';
import { predict } from './predictions.ts';
import type { Report } from './report.ts';
import { isOpen, rowsOf } from './report-rows.ts';
import type { RunOptions } from './run-options.ts';

/**
 * Measures ops and compares their variants: `docs/changing-a-kernel.md` describes the method and the figures.
 *
 * @throws {VitrineError} when a name is unknown, a model or kernel cannot be read, or a process ends early.
 */
export async function run(options: RunOptions): Promise<Report> {
  const { onProgress = () => undefined, threads = availableParallelism() } = options;
  const folder = await mkdtemp(join(tmpdir(), 'vitrine-bench-'));
  try {
    const runs = await planCases(options, folder);
    const hashes = await Promise.all(options.models.map(hashOf));
    onProgress("measuring the machine's limits");
    const single = await limitsOf(1, options);
    const before = threads === 1 ? single : await limitsOf(threads, options);
    const overhead = await inProcess(options.signal, (child) => child.ask({ kind: 'overhead' }));
    await measureCases(runs, options, onProgress);
    onProgress("measuring the machine's limits once more");
    // One thread cannot reach more than several; where it seems to, others used the machine.
    const best = bestOf(bestOf(before, await limitsOf(threads, options)), single);
    const rows = runs.flatMap((one) => rowsOf(one, options, best));
    return {
      format: 'vitrine-bench',
      version: 1,
      fingerprint: fingerprint({ threads: options.threads, model: hashes.join() }),
      limits: threads === 1 ? [best] : [single, best],
      overhead,
      rows,
      predictions: await predict(rows, runs, options),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Measures each case in `least` processes, and those with a verdict that is UNSURE in up to `most`. */
async function measureCases(
  runs: readonly CaseRun[],
  options: RunOptions,
  onProgress: (text: string) => void,
): Promise<void> {
  const [least, most] = options.processes ?? [5, 10];
  for (let round = 0; round < most; round++) {
    const open = runs.filter((one) => round < least || isOpen(one, options));
    if (open.length === 0) break;
    await inProcess(options.signal, async (child) => {
      for (const [index, { spec, phase, results }] of open.entries()) {
        onProgress(
          `process ${round + 1}: ${spec.suite} at ${spec.site}, ${phase.name} (${index + 1} of ${open.length})`,
        );
        results.push(await child.ask({ kind: 'case', spec: { ...spec, seed: spec.seed + 1000 * round } }));
      }
    });
  }
}

/** Measures limits in a process of its own: TensorFlow takes a number of threads once per process. */
const limitsOf = (threads: number, { signal, seconds = 1 }: RunOptions): Promise<Limits> =>
  inProcess(signal, (child) => child.ask({ kind: 'limits', threads, effort: Math.min(1, seconds) }));

async function hashOf(source: string): Promise<string> {
  const files = await openModel(source);
  try {
    return await modelHash(files);
  } finally {
    await files.checkpoint.close();
  }
}
