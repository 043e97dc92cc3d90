import { scope, scopePath } from './scope.ts';
import type { Tensor } from './tensor.ts';

/** Where rows are in their texts. */
export interface RowPositions {
  /** The absolute position of each row. */
  readonly positions: Int32Array;
  /** The absolute position of each row of logits. */
  readonly logitPositions: Int32Array;
}

/** A forward pass, as its observers are told of it: the rows of all sequences, end to end. */
export interface PassInfo extends RowPositions {
  /** Its number within the call: 0 the prompt, then one for each token. */
  readonly index: number;
  /** The rows of each sequence. */
  readonly sequences: readonly RowPositions[];
}

/** The pass of these sequences. */
export function passInfo(index: number, sequences: readonly RowPositions[]): PassInfo {
  if (sequences.length === 1) return { index, ...sequences[0], sequences };
  const joined = (name: keyof RowPositions): Int32Array =>
    Int32Array.from(sequences.flatMap((sequence) => [...sequence[name]]));
  return { index, positions: joined('positions'), logitPositions: joined('logitPositions'), sequences };
}

/** Sees, and may replace, the activations that pass through taps while `observe` runs a body. */
export interface Observer {
  /** Whether this observer wants the tap of this full name, such as `blocks.3.attn.hook_q`. */
  wants(name: string): boolean;
  /** A pass begins: the values that follow are of it. */
  startPass?(pass: PassInfo): void;
  /**
   * Receives a wanted tensor, which stays the scope's: `keep` or copy it to have it later.
   *
   * @param sequence The index of the one whose activation it is, where a pass runs several and each has its own; undefined
   *   where the tensor has the rows of all, end to end.
   * @returns A tensor that replaces it, or undefined. At derived taps the answer is ignored.
   */
  visit(name: string, value: Tensor, sequence?: number): Tensor | undefined;
}

/** The observers of the body that runs. Ambient, and safe because bodies are synchronous: nothing can interleave. */
let observers: readonly Observer[] = [];
/** The sequence of the pass that the body works on, where it has several and the body works on one. */
let current: number | undefined;

/**
 * Runs a synchronous body with exactly these observers at its taps: those of an enclosing `observe` do not see what
 * happens inside, so that an edit may run another model.
 */
export function observe<R>(list: readonly Observer[], body: () => R): R {
  const outer = observers;
  observers = list;
  try {
    return body();
  } finally {
    observers = outer;
  }
}

/** Runs the part of a pass that works on one of its sequences: what it taps is an activation of that sequence alone. */
export function inSequence<R>(index: number, body: () => R): R {
  current = index;
  try {
    return body();
  } finally {
    current = undefined;
  }
}

/**
 * Marks an activation by its hook name: the only trace that inspection leaves in the forward pass, and one comparison
 * where there are no observers. The observers that want it see it in the order of their list, each as the one before
 * left it.
 *
 * @param name The hook's name within the current scope, such as `hook_q`.
 * @returns `value`, or the tensor that an observer replaced it with.
 */
export function tap(name: string, value: Tensor): Tensor {
  if (observers.length === 0) return value;
  const full = scopePath(name);
  let shown = value;
  for (const observer of observers) if (observer.wants(full)) shown = observer.visit(full, shown, current) ?? shown;
  return shown;
}

/**
 * A tap of a value that the forward pass does not need: computed once if any observer wants it, and shown to each that
 * does. It cannot be edited.
 */
export function derive(name: string, make: () => Tensor): void {
  if (observers.length === 0) return;
  const full = scopePath(name);
  const wanting = observers.filter((observer) => observer.wants(full));
  if (wanting.length === 0) return;
  scope('', () => {
    const value = make();
    for (const observer of wanting) observer.visit(full, value, current);
  });
}

/** Whether any observer wants the tap `name` of the current scope: ops then choose the form that computes it. */
export function watched(name: string): boolean {
  if (observers.length === 0) return false;
  const full = scopePath(name);
  return observers.some((observer) => observer.wants(full));
}

/** Whether there is any observer: ask before work that only observers need. */
export const observed = (): boolean => observers.length > 0;
