import { join } from 'node:path';
import { load } from '../../engine/load/load.ts';
import { record as recordPass } from '../../inspect/recording.ts';
import { loadRecording, saveRecording } from '../../inspect/recording-file.ts';
import { createBackend } from '../../tensor/backends.ts';
import { elements } from '../../tensor/dtype.ts';
import { VitrineError } from '../../errors.ts';
import type { OperandSpec } from './operand-spec.ts';

/** The beginning of Darwin's "On the Origin of Species": ordinary English. It is repeated as often as needed. */
const TEXT =
  'When on board H.M.S. Beagle, as naturalist, I was much struck with certain facts in the distribution of the ' +
  'inhabitants of South America, and in the geological relations of the present to the past inhabitants of that ' +
  'continent. These facts seemed to me to throw some light on the origin of species, that mystery of mysteries, as it ' +
  'has been called by one of our greatest philosophers. On my return home, it occurred to me, in 1837, that something ' +
  'might perhaps be made out on this question by patiently accumulating and reflecting on all sorts of facts which could ' +
  'possibly have any bearing on it. ';

/** Gives the array that a real pass had at a hook point, in the operand's shape; undefined for a hook point that was not recorded. */
export type Recording = (hook: string, operand: OperandSpec) => Float32Array | undefined;

/**
 * Runs a model over a text of `tokens` tokens, and writes its activations at the given hook points in the first, the middle and
 * the last layer to a safetensors file in `folder`.
 *
 * @returns the file's path
 */
export async function record(
  folder: string,
  options: { source: string; hooks: readonly string[]; tokens: number; threads: number | undefined },
): Promise<string> {
  const { source, hooks, tokens: count, threads } = options;
  using model = await load(source, { threads });
  const tokens: number[] = [];
  const text = model.tokensOf(TEXT);
  while (tokens.length < count) tokens.push(...text.slice(0, count - tokens.length));
  const last = model.config.nLayers - 1;
  const layers = [...new Set([0, last >> 1, last])];
  const known = new Set(model.hooks);
  const names = hooks.flatMap((hook) => [hook, ...layers.map((layer) => `blocks.${layer}.${hook}`)]);
  using recording = recordPass(model, tokens, { capture: names.filter((name) => known.has(name)) });
  const path = join(folder, `activations-${count}.safetensors`);
  await saveRecording(path, recording);
  return path;
}

/** Reads what `record` wrote. The seed chooses the layer, so that another seed gives other numbers. */
export async function readRecording(path: string, seed: number): Promise<Recording> {
  using recording = await loadRecording(path, { backend: createBackend('reference') }); // It computes nothing.
  const values = new Map(Object.entries(recording.acts).map(([name, tensor]) => [name, tensor.data()]));
  return (hook, { kind, shape }) => {
    const names = [...values.keys()].filter((name) => name.replace(/^blocks\.\d+\./, '') === hook);
    if (names.length === 0) return undefined;
    const all = values.get(names[seed % names.length])!;
    const count = elements(shape);
    if (all.length < count || all.length % (count / shape[kind === 'store' ? 1 : 0]) !== 0)
      throw new VitrineError(
        `${path}: ${hook} has ${all.length} numbers, expected at least the ${count} of [${shape.join(', ')}].`,
      );
    const newest = all.slice(all.length - count); // The rows of the last tokens.
    return kind === 'store' ? byHead(newest, shape) : newest;
  };
}

/** From `[S, K, d]`, as hooks show a cache, to `[K, S, d]`, as attention reads it. */
function byHead(values: Float32Array, [K, S, d]: OperandSpec['shape']): Float32Array {
  const out = new Float32Array(values.length);
  for (let s = 0; s < S; s++)
    for (let k = 0; k < K; k++) out.set(values.subarray((s * K + k) * d, (s * K + k + 1) * d), (k * S + s) * d);
  return out;
}
