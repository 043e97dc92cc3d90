import type { ModelShapes } from './model-shapes.ts';
import { startProcess } from './processes.ts';
import type { Prediction, Row } from './report.ts';
import type { RunOptions } from './run.ts';
import { estimate } from './statistics.ts';
import type { Phase } from './suite.ts';

/** What a token is made of: a suite that is a part of another does not count twice. */
const OPS_OF_A_TOKEN = ['rms-norm', 'linear', 'rotate', 'attention', 'swiglu', 'experts'];

/**
 * Tokens per second by the medians of the ops that were measured, for each model and variant, and those of the model itself.
 * What is missing between the two is what the engine does around ops, and ops that were not measured.
 */
export async function predict(
  rows: readonly Row[],
  subjects: readonly { readonly model: ModelShapes; readonly phase: Phase }[],
  { threads, signal, measureModel = true }: Pick<RunOptions, 'threads' | 'signal' | 'measureModel'>,
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  const decoding = new Map(
    subjects.filter(({ phase }) => phase.tokens === 1).map((one) => [`${one.model.source} ${one.phase.name}`, one]),
  );
  for (const { model, phase } of decoding.values()) {
    if (!model.isComplete) continue;
    const own = rows.filter(
      (row) => row.model === model.name && row.phase === phase.name && row.inputs === rows[0].inputs,
    );
    const variants = new Set(own.filter(({ suite }) => suite === 'linear').map(({ variant }) => variant));
    for (const variant of variants) {
      const ops: Record<string, number> = {};
      for (const { suite, variant: name, seconds, calls } of own) {
        // An op without matrices is the backend's, however the matrices of others are stored.
        const belongs = name === variant || name === variant.replace(/-(bf16|f32)$/, '');
        if (!belongs || seconds === undefined || !OPS_OF_A_TOKEN.includes(suite)) continue;
        ops[suite] = (ops[suite] ?? 0) + calls * seconds.median;
      }
      const total = Object.values(ops).reduce((sum, seconds) => sum + seconds, 0);
      if (total === 0) continue;
      const [, backend, weights] = /^(tensorflow|reference)(?:-(bf16|f32))?$/.exec(variant) ?? [];
      let measured;
      if (measureModel && backend === 'tensorflow') {
        const child = startProcess(signal);
        const spec = {
          source: model.source,
          backend,
          weights: weights === 'f32' ? 'f32' : 'bf16',
          threads,
          depth: phase.depth,
        } as const;
        try {
          const { tokenSeconds } = await child.ask({ kind: 'model', spec });
          measured = estimate([tokenSeconds.map((seconds) => 1 / seconds)]);
        } finally {
          child.end();
        }
      }
      predictions.push({ model: model.name, phase: phase.name, variant, ops, predicted: 1 / total, measured });
    }
  }
  return predictions;
}
