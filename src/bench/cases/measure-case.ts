import { createRandom, type Random } from '../../sampling/random.ts';
import { createBackend } from '../../tensor/backends.ts';
import { type Lane, measureBlocks, shuffled } from '../timing/blocks.ts';
import { onBackend } from '../variants/backend-variant.ts';
import { kernelFromFile } from '../variants/kernel-file.ts';
import { check, type CheckResult, type Expected, expectedOf } from '../variants/result-check.ts';
import type { Prepared, Task, Variant } from '../variants/variant.ts';
import { bytesMoved, drawInputs, taskOf } from './case-inputs.ts';
import type { CaseResult, CaseSpec, VariantSpec } from './case-spec.ts';

/** A prepared variant with the worst of its checks so far. */
interface Entrant {
  readonly variant: Variant;
  readonly prepared: Prepared;
  readonly task: Task;
  check: CheckResult;
}

const CONTROL = ' (control)';

/**
 * Checks every variant, times the right ones against each other, and checks them again.
 *
 * A variant must not seem faster for its place: memory that was allocated first, code that was compiled first. So each process
 * prepares the variants in another random order; and a control, the baseline once more with its own module, weights and
 * machine code, shows by how much two identical variants differ.
 *
 * @throws {VitrineError} when a backend cannot be used, or a file is no kernel.
 */
export async function measureCase(spec: CaseSpec): Promise<CaseResult> {
  const random = createRandom(spec.seed);
  const variants = await Promise.all(spec.variants.map((one) => variantOf(one, spec.threads)));
  const control = {
    ...(await variantOf(spec.variants[0], spec.threads, 'control')),
    name: `${variants[0].name}${CONTROL}`,
  };
  const drawn = await drawInputs(spec, spec.seed);
  const prepared = new Map<Variant, Entrant>();
  try {
    const before = oracle(random);
    for (const variant of shuffled([...variants, control], random)) {
      const task = taskOf(spec, drawn, variant);
      const made = variant.prepare(task);
      const checked = check(made.result(0), task, variant, before(task, variant));
      prepared.set(variant, { variant, prepared: made, task, check: checked });
    }
    const entrants = variants.map((variant) => prepared.get(variant)!);
    const kernels = new Map(entrants.map((one) => [one, one.prepared.kernels()]));
    const right = entrants.filter((one) => one.check.ok);
    const lanes = right.map(laneOf);
    if (right.length > 0 && right[0].variant === variants[0]) lanes.push(laneOf(prepared.get(control)!));
    const times = lanes.length === 0 ? [] : await measureBlocks(lanes, spec, random);
    recheck(right, random);
    await recheckOnFreshInputs(right, spec, random);
    return {
      variants: entrants.map((one) => ({
        name: one.variant.name,
        weights: one.variant.weights,
        compute: one.variant.compute,
        bytes: bytesMoved(one.task, one.variant),
        kernels: kernels.get(one)!,
        copies: one.task.copies,
        check: one.check,
        times: one.check.ok ? times.find(({ name }) => name === one.variant.name) : undefined,
      })),
      control: times.find(({ name }) => name.endsWith(CONTROL)),
    };
  } finally {
    for (const entrant of prepared.values()) entrant.prepared.dispose();
  }
}

/** Checks variants after many calls: a kernel may be right at first and go wrong later. */
function recheck(entrants: readonly Entrant[], random: Random): void {
  const after = oracle(random);
  for (const entrant of entrants) {
    const { prepared, task, variant } = entrant;
    keepWorse(entrant, check(prepared.result(task.copies - 1), task, variant, after(task, variant)));
  }
}

/** Checks variants on inputs that they have not seen: a kernel may remember its first result. */
async function recheckOnFreshInputs(entrants: readonly Entrant[], spec: CaseSpec, random: Random): Promise<void> {
  const drawn = await drawInputs(spec, spec.seed + 1);
  const fresh = oracle(random);
  for (const entrant of entrants) {
    const { variant } = entrant;
    const task = { ...taskOf(spec, drawn, variant), copies: 1 };
    const prepared = variant.prepare(task);
    try {
      keepWorse(entrant, check(prepared.result(0), task, variant, fresh(task, variant)));
    } finally {
      prepared.dispose();
    }
  }
}

/** The expected rows of one set of inputs, computed once for each dtype to which variants round them. */
function oracle(random: Random): (task: Task, variant: Variant) => Expected {
  const known = new Map<Variant['compute'], Expected>();
  return (task, variant) => {
    const expected = known.get(variant.compute) ?? expectedOf(task, variant, random);
    known.set(variant.compute, expected);
    return expected;
  };
}

function keepWorse(entrant: Entrant, next: CheckResult): void {
  if (!next.ok || next.worst.ofAllowed > entrant.check.worst.ofAllowed) entrant.check = next;
}

const laneOf = ({ variant, prepared, task: { copies } }: Entrant): Lane => ({
  name: variant.name,
  call: (count) => {
    prepared.run(count % copies);
  },
  tier: prepared.tier,
});

/** @param instance The instance of a file's module: see `kernelFromFile` */
async function variantOf(spec: VariantSpec, threads: number | undefined, instance?: string): Promise<Variant> {
  if ('file' in spec) return kernelFromFile(spec.file, spec.name, instance);
  return onBackend(spec, createBackend(spec.backend, { threads }));
}
