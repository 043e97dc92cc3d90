import type { BackendName } from '../tensor/backends.ts';
import { VitrineError } from '../errors.ts';
import type { ModelShapes } from './model-shapes.ts';
import { inProcess } from './processes.ts';
import type { Prediction, Row } from './report.ts';
import type { RunOptions } from './run.ts';
import { estimate, type Estimate } from './statistics.ts';
import type { Phase } from './suite.ts';
import { packedFormat, WEIGHT_FORMATS, type WeightFormat } from './weight-format.ts';

/** What a token is made of: a suite that is a part of another does not count twice. */
const OPS_OF_A_TOKEN = ['rms-norm', 'linear', 'rotate', 'attention', 'swiglu', 'experts'];

/**
 * Tokens per second by the medians of the ops that were measured, for each model and variant, and those of the model itself.
 * What is missing between the two is what the engine does around ops, and ops that were not measured.
 */
export async function predict(
  rows: readonly Row[],
  subjects: readonly { readonly model: ModelShapes; readonly phase: Phase }[],
  options: Pick<RunOptions, 'threads' | 'signal' | 'measureModel' | 'onProgress'>,
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
 * Of each case, the row that counts for a variant: its own; where the model's codes are asked for and a matrix has none, the one
 * for the matrix as it is stored; and of an op without matrices the backend's, however the matrices of others are stored.
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

/** `tensorflow-bf16`; nothing for a kernel in a file. */
function partsOf(variant: string): { backend?: BackendName; weights?: WeightFormat } {
  const match = new RegExp(`^(tensorflow|reference)(?:-(${WEIGHT_FORMATS.join('|')}))?$`).exec(variant);
  return match === null ? {} : { backend: match[1] as BackendName, weights: match[2] as WeightFormat };
}

async function measuredSpeed(
  { source, name }: ModelShapes,
  { depth }: Phase,
  variant: string,
  { threads, signal, measureModel = true, onProgress }: Pick<RunOptions, 'threads' | 'signal' | 'measureModel' | 'onProgress'>, // prettier-ignore
): Promise<Estimate | undefined> {
  const { backend, weights } = partsOf(variant);
  if (!measureModel || backend !== 'tensorflow') return undefined;
  onProgress?.(`measuring ${name} itself, ${variant}`);
  const held = weights === undefined || packedFormat(weights) ? 'auto' : (weights as 'f32' | 'bf16');
  const spec = { source, backend, weights: held, threads, depth } as const;
  try {
    const { tokenSeconds } = await inProcess(signal, (child) => child.ask({ kind: 'model', spec }));
    return estimate([tokenSeconds.map((seconds) => 1 / seconds)]);
  } catch (error) {
    // A model in codes need not fit into memory in numbers; what was measured of its ops stands.
    if (!(error instanceof VitrineError) || signal?.aborted) throw error;
    onProgress?.(`${name} itself is not measured: ${error.message}`);
    return undefined;
  }
}
