import { Model } from '../../engine/model.ts';
import type { Prompt } from '../../engine/prompt.ts';
import { isRecord, OptionError, show } from '../../options.ts';
import { record, type RecordedHook, type RecordOptions, Recording } from '../recording.ts';

/** A model whose pass is compared, with edits of it or the dtype of its products. */
export interface ModelPass extends Pick<RecordOptions, 'edit' | 'compute'> {
  readonly model: Model;
}

/** One side of a comparison: a model that runs the prompt, or the recording of a pass. */
export type Subject = Model | ModelPass | Recording;

/** A recording of a side, and whether it was made for the comparison. */
export interface Side {
  readonly recording: Recording;
  readonly isOwned: boolean;
}

/** The model of a side, if it is one that runs. */
export function modelOf(subject: Subject): Model | undefined {
  if (subject instanceof Model) return subject;
  return subject instanceof Recording ? undefined : subject.model;
}

/** @throws {OptionError} for what is none. */
export function expectSubject(name: string, subject: unknown): void {
  const isPass = isRecord(subject) && subject.model instanceof Model;
  if (isPass || subject instanceof Model || subject instanceof Recording) return;
  throw new OptionError(
    `firstDivergence: ${name} must be a model, of load(), an object with a model, or a recording, got ${show(subject)}.`,
  );
}

/** Hooks that can be compared: those that the pass itself reads, in its order. */
export function comparedHooks(subject: Subject): Map<string, RecordedHook> {
  const model = modelOf(subject);
  if (model === undefined) return new Map([...(subject as Recording).hooks].filter(([, { isMeasure }]) => !isMeasure));
  const points = [...model.hookPoints].filter(([, { derived, readOnly }]) => !derived && readOnly === undefined);
  return new Map(points.map(([name, { axes }]) => [name, { axes, isMeasure: false }]));
}

/** Runs the prompt where the side is a model. */
export function sideOf(subject: Subject, prompt: Prompt, capture: readonly string[]): Side {
  if (subject instanceof Recording) return { recording: subject, isOwned: false };
  const { model, ...options } = subject instanceof Model ? { model: subject } : subject;
  return { recording: record(model, prompt, { ...options, capture }), isOwned: true };
}
