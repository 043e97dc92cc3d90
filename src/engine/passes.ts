import { KvCache } from '../model/cache/kv-cache.ts';
import type { Decoder, Rows } from '../model/parts/decoder.ts';
import { lengthOf, type NewTokens, Step } from '../model/parts/step.ts';
import { nextTurn } from '../platform/event-loop.ts';
import type { Backend } from '../tensor/backend.ts';
import { type Compute, computeIn } from '../tensor/compute.ts';
import { release } from '../tensor/scope.ts';
import { observe, type Observer, passInfo } from '../tensor/tap.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A forward pass to be run: its tokens, the rows of logits, and the observers. */
export interface Pass {
  readonly network: Decoder;
  readonly backend: Backend;
  readonly sequences: readonly NewTokens[];
  readonly rows: Rows;
  /** The dtype of operands in products. Default: as each layer does by itself, the fastest way. */
  readonly compute?: Compute | undefined;
  /** Its number within the call: 0 the prompt, then one for each token. Default 0. */
  readonly index?: number | undefined;
  /** They see each activation in this order. Default: none. */
  readonly observers?: readonly Observer[] | undefined;
  /** Observers of tokens in the cache where these are recomputed, in one pass, so that edits act again. Default: none. */
  readonly recomputeObservers?: readonly Observer[] | undefined;
}

/** Runs a forward pass to its end. The logits go to the current scope, or to the caller. */
export function runPass(pass: Pass): Tensor {
  return release(drain(layers(pass)));
}

/** Runs synchronous work that stops between layers to its end. */
export function drain<R>(steps: Generator<undefined, R, undefined>): R {
  for (;;) {
    const next = steps.next();
    if (next.done) return next.value;
  }
}

/** What ends work that pauses: asked after each pause. An AbortSignal is one. */
export type Interruption = Pick<AbortSignal, 'throwIfAborted'>;

/** After so long, in ms, the event loop gets a turn at the end of a layer. */
const MAX_BLOCKING_MS = 10;

/**
 * Runs a forward pass with turns of the event loop between layers, so that an abort is heard in a long prefill.
 *
 * @throws {Error} the signal's reason; the caches then hold what they held before.
 */
export const runPassAsync = (pass: Pass, signal?: Interruption): Promise<Tensor> => drainAsync(layers(pass), signal);

/**
 * `drain` with pauses.
 *
 * @throws {Error} the signal's reason.
 */
export async function drainAsync<R>(steps: Generator<undefined, R, undefined>, signal?: Interruption): Promise<R> {
  try {
    for (let last = performance.now(); ;) {
      const next = steps.next();
      if (next.done) return next.value;
      if (performance.now() - last < MAX_BLOCKING_MS) continue;
      await nextTurn();
      signal?.throwIfAborted();
      last = performance.now();
    }
  } finally {
    steps.return(undefined as never); // Frees what an abort left behind; does nothing at the end.
  }
}

/** Prompt tokens per pass: enough to keep the matrix products busy, few enough to bound memory. */
export const PREFILL_CHUNK = 512;

/** A forward pass that stops before every layer, and after the last. The caller drains it, or gives it up with `return`. */
export function* layers(pass: Pass): Generator<undefined, Tensor, undefined> {
  for (const sequence of pass.sequences) yield* recomputeCache(pass, sequence);
  return yield* oneStep(pass);
}

/**
 * Where a text grows, or is cut, past the length at which all of its angles change, its cache is recomputed, as
 * transformers does for Phi-3.
 */
function* recomputeCache(pass: Pass, sequence: NewTokens): Generator<undefined, void, undefined> {
  const { network, backend } = pass;
  const { cache, seen } = sequence;
  const length = lengthOf(sequence);
  if (
    cache.length === 0 ||
    (seen !== undefined && seen < cache.length) ||
    cache.rotatedFor > network.ropeBorder === length > network.ropeBorder
  )
    return;
  const tokens = Int32Array.from(cache.tokens);
  const fresh = new KvCache(backend, network.cacheLayout);
  const chunk = pass.recomputeObservers ? tokens.length : PREFILL_CHUNK;
  try {
    for (let from = 0; from < tokens.length; from += chunk) {
      const part = { tokens: tokens.subarray(from, from + chunk), cache: fresh, textLength: length };
      (yield* oneStep({ ...pass, sequences: [part], rows: 'last', observers: pass.recomputeObservers })).dispose();
    }
    cache.replaceWith(fresh);
  } finally {
    fresh.dispose();
  }
}

/** Observes only while a layer runs: between two layers, other code may run. */
function* oneStep({
  network,
  backend,
  sequences,
  rows,
  compute,
  index = 0,
  observers = [],
}: Pass): Generator<undefined, Tensor, undefined> {
  const step = new Step(backend, sequences);
  if (observers.length > 0) {
    const pass = passInfo(index, step.rowPositions(rows));
    for (const observer of observers) observer.startPass?.(pass);
  }
  const forward = network.forward(step, rows);
  try {
    for (;;) {
      const next = computeIn(compute, () =>
        observers.length > 0 ? observe(observers, () => forward.next()) : forward.next(),
      );
      if (next.done) {
        step.commit();
        return next.value;
      }
      yield;
    }
  } finally {
    forward.return(undefined as never);
    step.dispose();
  }
}
