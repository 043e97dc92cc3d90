import { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import type { RunOptions } from '../engine/run/run-options.ts';
import { matchHooks } from '../hooks/match.ts';
import { checkArgument, instanceOf } from '../options.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** The dtype in which a pass computed; it bounds what rounding explains. */
export type Precision = 'f64' | 'f32' | 'f16' | 'bf16';

/** A hook point of a recording. */
export interface RecordedHook {
  /** A letter for each axis, as in `HookPoint`; empty where the file does not say. */
  readonly axes: string;
  /** Whether it is a measure of other activations, which the pass itself does not read. */
  readonly isMeasure: boolean;
}

/** What a recording knows of its pass. */
export interface RecordedPass {
  /** Where the model came from: a folder, a file, a hub id, or the name that another program gave it. */
  readonly model: string;
  /** The token ids of the prompt; empty where the file does not say. */
  readonly tokens: readonly number[];
  readonly precision: Precision;
  /** Hook points by name, in the order of the pass. */
  readonly hooks: ReadonlyMap<string, RecordedHook>;
}

/** The activations of one pass, each under the full name of its hook. `dispose` frees them all. */
export class Recording implements RecordedPass {
  readonly model: string;
  readonly tokens: readonly number[];
  readonly precision: Precision;
  readonly hooks: ReadonlyMap<string, RecordedHook>;
  /** Activations by the names of hooks, in the order of the pass. */
  readonly acts: Readonly<Record<string, Tensor>>;

  /** @param acts They belong to the recording from now on. */
  constructor({ model, tokens, precision, hooks }: RecordedPass, acts: Readonly<Record<string, Tensor>>) {
    this.model = model;
    this.tokens = tokens;
    this.precision = precision;
    this.hooks = hooks;
    this.acts = acts;
  }

  /** Frees the activations. */
  dispose(): void {
    for (const tensor of Object.values(this.acts)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Checks for a model. */
export const MODEL = instanceOf(Model, 'a model, of load()');

/** What to record, and of which pass. */
export interface RecordOptions extends Pick<RunOptions, 'edit' | 'compute' | 'until'> {
  /** Names or globs of hooks. Default: all that the pass computes by itself, without those made for observers only. */
  readonly capture?: readonly string[] | undefined;
}

/**
 * Runs a prompt and keeps its activations one by one: a glob over layers is not stacked, as it is in the captures of `run`.
 *
 * ```ts
 * using recording = record(model, 'The capital of France is', { capture: ['blocks.*.hook_resid_post'] });
 * await saveRecording('trace.safetensors', recording);
 * ```
 * @throws {HookError} and {OptionError} as `run` does.
 */
export function record(model: Model, prompt: Prompt, options: RecordOptions = {}): Recording {
  checkArgument('record', 'the model', model, MODEL);
  const { capture, compute = model.compute ?? 'f32', ...pass } = options;
  const points = model.hookPoints;
  const order = [...points.keys()];
  const asked =
    capture === undefined
      ? new Set(order.filter((name) => !points.get(name)!.derived))
      : new Set(capture.flatMap((one) => matchHooks(one, order)).flatMap(({ names }) => names));
  const names = order.filter((name) => asked.has(name));
  const tokens = model.tokensOf(prompt);
  const run = model.run(tokens, { ...pass, compute, capture: names });
  if (pass.until === undefined) run.logits.dispose();
  const { acts } = run;
  const hooks = names
    .filter((name) => Object.hasOwn(acts, name)) // An expert that no row chose has none.
    .map((name): [string, RecordedHook] => {
      const { axes, readOnly } = points.get(name)!;
      return [name, { axes, isMeasure: readOnly !== undefined }];
    });
  const precision = model.backend.name === 'reference-f64' ? 'f64' : compute;
  return new Recording({ model: model.files.source, tokens: [...tokens], precision, hooks: new Map(hooks) }, acts);
}
