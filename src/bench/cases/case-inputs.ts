import { elements } from '../../tensor/dtype.ts';
import { decodePacked, type PackedMatrix } from '../../tensor/formats/packed-format.ts';
import { createDraw } from '../inputs/draw.ts';
import { readRecording } from '../inputs/recording.ts';
import { bytesPerNumber, pack, packedFormat } from '../subject/weight-format.ts';
import { suiteOf } from '../suites/all-suites.ts';
import type { Task, Variant } from '../variants/variant.ts';
import type { BytesMoved, CaseSpec } from './case-spec.ts';

/** The inputs of a case; matrices that the model stores in codes are there in both forms. */
export type DrawnInputs = Pick<Task, 'inputs' | 'packed'>;

/** Draws a case's inputs, or takes them from its recording. A matrix in codes is encoded first, and its numbers are the decoded ones. */
export async function drawInputs(spec: CaseSpec, seed: number): Promise<DrawnInputs> {
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

/** The task of a variant, with so many copies of the weights that each has left the cache before it is read again. */
export function taskOf({ suite: name, site, sizes, coldBytes }: CaseSpec, drawn: DrawnInputs, variant: Variant): Task {
  const suite = suiteOf(name);
  const task = { suite, site, sizes, operands: suite.operands(sizes, site), ...drawn, copies: 1 };
  const { read } = bytesMoved(task, variant);
  return coldBytes === 0 || read === 0 ? task : { ...task, copies: Math.max(2, Math.ceil(coldBytes / read)) };
}

/** The bytes that a call of a variant moves. */
export function bytesMoved(
  { suite, sizes, operands, inputs }: Task,
  { weights }: Pick<Variant, 'weights'>,
): BytesMoved {
  let [numbers, read, rest] = [0, 0, 4 * elements(suite.output(sizes))];
  for (const { kind, shape } of Object.values(operands)) {
    if (kind === 'matrix') numbers += elements(shape);
    else if (kind === 'store') read += 4 * elements(shape);
    else rest += 4 * elements(shape);
  }
  read += (suite.numbersRead?.(inputs, sizes) ?? numbers) * bytesPerNumber(weights);
  return { read, rest };
}
