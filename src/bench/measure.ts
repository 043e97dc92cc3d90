import { elements } from '../tensor/dtype.ts';
import { decodePacked, type PackedMatrix } from '../tensor/formats/packed-format.ts';
import { createRandom } from '../sampling/random.ts';
import { type Lane, type LaneTimes, measureBlocks, shuffled } from './blocks.ts';
import { check, type CheckResult, expectedOf } from './check.ts';
import { backendOf, type EngineVariant, onBackend } from './engine-variants.ts';
import { fileVariant } from './file-variant.ts';
import type { Distribution } from './distributions.ts';
import { createDraw } from './inputs.ts';
import { readRecording } from './recording.ts';
import type { Sizes } from './suite.ts';
import { suiteOf } from './suites/index.ts';
import type { Prepared, Task, Variant } from './variant.ts';
import { bytesPerNumber, pack, packedFormat, type WeightFormat } from './weight-format.ts';

export type VariantSpec = EngineVariant | { readonly name: string; readonly file: string };

/** One case for one process, in plain data. The first of the variants is the baseline. */
export interface CaseSpec {
  readonly suite: string;
  readonly site: string;
  readonly sizes: Sizes;
  /** How the model stores the matrices. */
  readonly stored: WeightFormat | undefined;
  readonly distribution: Distribution;
  /** For `recorded`: the safetensors file with the activations. */
  readonly recording: string | undefined;
  /** Bytes that copies of the weights shall exceed together; 0 for one copy, which is then warm. */
  readonly coldBytes: number;
  readonly variants: readonly VariantSpec[];
  readonly milliseconds: number;
  /** The standard error of ratios below which more blocks are not needed. */
  readonly precision: number;
  readonly threads: number | undefined;
  readonly seed: number;
}

/** What a process found out about a variant. */
export interface VariantResult {
  readonly name: string;
  readonly weights: WeightFormat;
  readonly compute: 'f32' | 'bf16';
  readonly bytes: BytesMoved;
  readonly kernels: readonly string[];
  readonly copies: number;
  /** The worst of the checks before and after timing. */
  readonly check: CheckResult;
  /** Absent for a variant that gave a wrong result. */
  readonly times: LaneTimes | undefined;
}

/** What a call moves: bytes of weights and stores, of which there are cold copies, and of all else. */
export interface BytesMoved {
  readonly read: number;
  readonly rest: number;
}

export interface CaseResult {
  readonly variants: readonly VariantResult[];
  /** The baseline once more, from the beginning: see `measureCase`. */
  readonly control: LaneTimes | undefined;
}

interface Entrant {
  readonly variant: Variant;
  readonly prepared: Prepared;
  readonly task: Task;
  readonly kernels: readonly string[];
  checks: CheckResult;
}

const CONTROL = ' (control)';

/**
 * Checks every variant, times those that are right against each other, and checks them again.
 *
 * What a lane pays for its place (memory that was asked for first, code that was compiled first) must not look like a property of
 * its kernel. So variants are prepared in a random order, another in each process; and the control is the baseline once more with
 * a module, weights and machine code of its own: it differs from the baseline in all that an identical copy differs in.
 */
export async function measureCase(spec: CaseSpec): Promise<CaseResult> {
  const random = createRandom(spec.seed);
  const variants = await Promise.all(spec.variants.map((one) => variantOf(one, spec.threads)));
  const control = {
    ...(await variantOf(spec.variants[0], spec.threads, 'control')),
    name: `${variants[0].name}${CONTROL}`,
  };
  const inputs = await drawInputs(spec, spec.seed);
  const prepared = new Map<Variant, Entrant>();
  try {
    for (const variant of shuffled([...variants, control], random)) prepared.set(variant, entrantOf(variant));
    const entrants = variants.map((variant) => prepared.get(variant)!);
    const known = entrants.map((entrant) => ({ ...entrant, kernels: entrant.prepared.kernels() }));
    const right = known.filter(({ checks }) => checks.ok);
    const lanes = right.map(laneOf);
    if (right.length > 0 && right[0].variant === variants[0]) lanes.push(laneOf(prepared.get(control)!));
    const times = lanes.length === 0 ? [] : await measureBlocks(lanes, spec, random);
    // A kernel may do well once and go wrong later, or know only the numbers that it saw first.
    for (const entrant of right)
      recheck(
        entrant,
        check(
          entrant.prepared.result(entrant.task.copies - 1),
          entrant.task,
          entrant.variant,
          expected(entrant.task, entrant.variant),
        ),
      );
    const fresh = await drawInputs(spec, spec.seed + 1);
    for (const entrant of right) {
      const task = { ...taskOf(spec, fresh, entrant.variant), copies: 1 };
      const prepared = entrant.variant.prepare(task);
      try {
        recheck(entrant, check(prepared.result(0), task, entrant.variant, expected(task, entrant.variant)));
      } finally {
        prepared.dispose();
      }
    }
    return {
      variants: known.map(({ variant, kernels, checks, task }) => ({
        name: variant.name,
        weights: variant.weights,
        compute: variant.compute,
        bytes: bytesMoved(task, variant),
        kernels,
        copies: task.copies,
        check: checks,
        times: checks.ok ? times.find(({ name }) => name === variant.name) : undefined,
      })),
      control: times.find(({ name }) => name.endsWith(CONTROL)),
    };
  } finally {
    for (const entrant of prepared.values()) entrant.prepared.dispose();
  }

  function entrantOf(variant: Variant): Entrant {
    const task = taskOf(spec, inputs, variant);
    const made = variant.prepare(task);
    return {
      variant,
      prepared: made,
      task,
      kernels: [],
      checks: check(made.result(0), task, variant, expected(task, variant)),
    };
  }

  function expected(task: Task, variant: Variant): ReturnType<typeof expectedOf> {
    return expectedOf(task, variant, random);
  }
}

const laneOf = ({ variant, prepared, task: { copies } }: Entrant): Lane => ({
  name: variant.name,
  call: (turn) => {
    prepared.run(turn % copies);
  },
  tier: prepared.tier,
});

/** Keeps the worse of two checks. */
function recheck(entrant: Entrant, next: CheckResult): void {
  if (!next.ok || next.worst.ofAllowed > entrant.checks.worst.ofAllowed) entrant.checks = next;
}

/** @param instance Tells apart instances of a user's module, whose code is then compiled for each. */
async function variantOf(spec: VariantSpec, threads: number | undefined, instance?: string): Promise<Variant> {
  if ('file' in spec) return fileVariant(spec.file, spec.name, instance);
  return onBackend(spec, backendOf(spec.backend, threads));
}

function taskOf({ suite: name, site, sizes, coldBytes }: CaseSpec, drawn: Drawn, variant: Variant): Task {
  const suite = suiteOf(name);
  const task = { suite, site, sizes, operands: suite.operands(sizes, site), ...drawn, copies: 1 };
  const { read } = bytesMoved(task, variant);
  // Enough copies that each has left the cache of the processor when its turn comes again.
  return coldBytes === 0 || read === 0 ? task : { ...task, copies: Math.max(2, Math.ceil(coldBytes / read)) };
}

function bytesMoved({ suite, sizes, operands, inputs }: Task, { weights }: Pick<Variant, 'weights'>): BytesMoved {
  let [numbers, read, rest] = [0, 0, 4 * elements(suite.output(sizes))];
  for (const { kind, shape } of Object.values(operands)) {
    if (kind === 'matrix') numbers += elements(shape);
    else if (kind === 'store') read += 4 * elements(shape);
    else rest += 4 * elements(shape);
  }
  read += (suite.numbersRead?.(inputs, sizes) ?? numbers) * bytesPerNumber(weights);
  return { read, rest };
}

type Drawn = Pick<Task, 'inputs' | 'packed'>;

/** Matrices that the model stores in codes are drawn as such, so that every variant has the numbers that these stand for. */
async function drawInputs(spec: CaseSpec, seed: number): Promise<Drawn> {
  const { suite, site, sizes, stored, distribution, recording } = spec;
  const draw = createDraw(seed, distribution);
  const recorded = recording === undefined ? undefined : await readRecording(recording, seed);
  const format = stored && packedFormat(stored);
  const inputs: Record<string, Float32Array> = {};
  const packed: Record<string, PackedMatrix> = {};
  for (const [name, operand] of Object.entries(suiteOf(suite).operands(sizes, site))) {
    const { kind, shape, fill, hook, fit = (values: Float32Array) => values } = operand;
    const real = hook === undefined ? undefined : recorded?.(hook, operand);
    const drawn = real === undefined ? fill(draw, elements(shape)) : fit(real);
    if (kind === 'matrix' && format !== undefined) packed[name] = pack(format, drawn, shape[1]);
    inputs[name] = name in packed ? decodePacked(packed[name]) : drawn;
  }
  return { inputs, packed };
}
