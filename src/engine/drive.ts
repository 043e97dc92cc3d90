import { setImmediate } from 'node:timers/promises';
import type { Decoder } from '../model/parts/decoder.ts';
import { type Sequence, Step } from '../model/step.ts';
import type { Backend } from '../tensor/backend.ts';
import { observe, type Observer, release } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A forward pass to be run: over which tokens, for which rows of logits, and who listens. */
export interface Pass {
  readonly network: Decoder;
  readonly backend: Backend;
  readonly sequences: readonly Sequence[];
  readonly logits: 'last' | 'all';
  readonly observer?: Observer | undefined;
}

/** Runs a forward pass to its end. The logits go to the current scope, or to the caller. */
export function runPass(pass: Pass): Tensor {
  const steps = layers(pass);
  for (;;) {
    const next = steps.next();
    if (next.done) return release(next.value);
  }
}

/** How long the event loop may wait for a layer to end, in ms. */
const BREATH = 10;

/**
 * Runs a forward pass and lets the event loop breathe between layers, so that an abort is heard in a long prefill.
 *
 * @throws The signal's reason; the caches then hold what they held before.
 */
export async function runPassAsync(pass: Pass, signal?: AbortSignal): Promise<Tensor> {
  const steps = layers(pass);
  try {
    for (let last = performance.now(); ;) {
      const next = steps.next();
      if (next.done) return next.value;
      if (performance.now() - last < BREATH) continue;
      await setImmediate();
      signal?.throwIfAborted();
      last = performance.now();
    }
  } finally {
    steps.return(undefined as never); // Frees what an abort left behind; does nothing at the end.
  }
}

/** Listens only while a layer runs: between two layers, other code may run. */
function* layers({ network, backend, sequences, logits, observer }: Pass): Generator<undefined, Tensor, undefined> {
  const step = new Step(backend, sequences);
  const forward = network.forward(step, logits);
  try {
    for (;;) {
      const next = observe(observer, () => forward.next());
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
