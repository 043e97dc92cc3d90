import { isReference } from '../../tensor/backends.ts';
import { VitrineError } from '../../errors.ts';
import type { ModelShapes } from '../subject/model-shapes.ts';
import { inProcess } from '../processes/measuring-process.ts';
import type { Prediction, Row } from './report.ts';
import type { RunOptions } from './run-options.ts';
import { estimate, type Estimate } from '../timing/statistics.ts';
import type { Phase } from '../subject/phase.ts';
import { packedFormat } from '../subject/weight-format.ts';
import { partsOf } from '../variants/engine-variants.ts';

/** The ops that make up a token, without suites that are a part of another. */
const OPS_OF_A_TOKEN = ['rms-norm', 'linear', 'rotate', 'attention', 'swiglu', 'experts'];

/** The settings of a run that predictions depend on. */
type PredictionOptions = Pick<RunOptions, 'threads' | 'signal' | 'measureModel' | 'onProgress'>;

/**
 * For each decoding model and variant, the tokens per second by the medians of the measured ops, and those of the model itself.
 * The two differ by the engine's work between ops, and by ops that were not measured.
 */
export async function predict(
  rows: readonly Row[],
  subjects: readonly { readonly model: ModelShapes; readonly phase: Phase }[],
  options: PredictionOptions,
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  const decoding = new Map(
    subjects.filter(({ phase }) => phase.tokens === 1).map((one) => [`${one.model.source} ${one.phase.name}`, one]),
  );
  for (const { model, phase } of decoding.values()) {
    const own = rows.filter(
      (row) => row.model === model.name && row.phase === phase.name && row.inputs === rows[0].inputs,
    );
    const productsOf = new Set(own.filter(({ stored }) => stored !== undefined).map(({ variant }) => variant));
    for (const variant of productsOf) {
      const ops: Record<string, number> = {};
      for (const { suite, seconds, calls } of rowsOfToken(own, variant)) {
        if (seconds !== undefined && OPS_OF_A_TOKEN.includes(suite))
          ops[suite] = (ops[suite] ?? 0) + calls * seconds.median;
      }
      const total = Object.values(ops).reduce((sum, seconds) => sum + seconds, 0);
      if (total === 0) continue;
      const measured = await measuredSpeed(model, phase, variant, options);
      predictions.push({ model: model.name, phase: phase.name, variant, ops, predicted: 1 / total, measured });
    }
  }
  return predictions;
}

/**
 * The rows that make up a token of a variant, one for each case. If the variant has none of its own, that is the backend's: for an
 * op without matrices, its only row; for a matrix without the variant's codes, the row with the matrix as it is stored.
 */
function rowsOfToken(rows: readonly Row[], variant: string): Row[] {
  const { backend, weights } = partsOf(variant);
  const cases = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.suite, row.site, row.sizes]);
    cases.set(key, [...(cases.get(key) ?? []), row]);
  }
  return [...cases.values()].flatMap((own) => {
    const names = [
      variant,
      ...(weights && packedFormat(weights) ? [`${backend}-${own[0].stored}`] : []),
      ...(own[0].stored === undefined && backend !== undefined ? [backend] : []),
    ];
    const name = names.find((one) => own.some((row) => row.variant === one));
    return own.filter((row) => row.variant === name);
  });
}

/** The speed of the model itself; undefined where it is not to be measured, or cannot be loaded. */
async function measuredSpeed(
  { source, name }: ModelShapes,
  { depth }: Phase,
  variant: string,
  { threads, signal, measureModel = true, onProgress }: PredictionOptions,
): Promise<Estimate | undefined> {
  const { backend, weights } = partsOf(variant);
  if (!measureModel || backend === undefined || isReference(backend)) return undefined;
  onProgress?.(`measuring ${name} itself, ${variant}`);
  const held = weights === undefined || packedFormat(weights) ? 'auto' : (weights as 'f32' | 'bf16');
  const spec = { source, backend, weights: held, threads, depth } as const;
  try {
    const { tokenSeconds } = await inProcess(signal, (child) => child.ask({ kind: 'model', spec }));
    return estimate([tokenSeconds.map((seconds) => 1 / seconds)]);
  } catch (error) {
    // A model in codes need not fit into memory in numbers; the measurements of its ops stand.
    if (!(error instanceof VitrineError) || signal?.aborted) throw error;
    onProgress?.(`${name} itself is not measured: ${error.message}`);
    return undefined;
  }
}
