import type { LoadOptions } from '../engine/load/load-options.ts';
import type { Model } from '../engine/model.ts';
import { oneLine } from './printable.ts';
import { loadOptionsOf, type ModelOptions } from './flags.ts';
import { progressPrinter } from './progress-line.ts';

/** Loads the model that the flags name, with progress on a terminal, and prints its notes. */
export async function loadModel(options: ModelOptions, signal: AbortSignal): Promise<Model> {
  const { load } = await import('../engine/load/load.ts');
  const source = options.model ?? (await defaultModel(signal));
  const model = await withProgress((onProgress) => load(source, { ...loadOptionsOf(options), onProgress, signal }), {
    onlyTerminal: true,
  });
  printNotes(model.files.notes);
  return model;
}

/** The folder of the default model, which is downloaded where it is missing. */
export async function defaultModel(signal: AbortSignal): Promise<string> {
  const { ensureDefaultModel } = await import('../setup/ensure-default-model.ts');
  const { folder, problem } = await withProgress((onProgress) => ensureDefaultModel({ onProgress, signal }));
  printNotes(problem === undefined ? [] : [problem]);
  return folder;
}

/** Runs a long step and prints its progress to stderr; with `onlyTerminal`, only where stderr is a terminal. */
export async function withProgress<T>(
  work: (onProgress: NonNullable<LoadOptions['onProgress']>) => Promise<T>,
  { onlyTerminal = false } = {},
): Promise<T> {
  const printer = progressPrinter();
  const isShown = process.stderr.isTTY || !onlyTerminal;
  try {
    return await work(isShown ? printer : () => undefined);
  } finally {
    printer.end();
  }
}

/** Prints notes for the user to stderr, one line each. */
export function printNotes(notes: readonly string[] = []): void {
  for (const note of notes) process.stderr.write(`note: ${oneLine(note)}\n`);
}
