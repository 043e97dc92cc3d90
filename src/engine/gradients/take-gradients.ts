import { formatBytes } from '../../format-bytes.ts';
import { VitrineError } from '../../errors.ts';
import { GradientPoints } from '../../hooks/gradient-points.ts';
import type { HookRegistry } from '../../hooks/hook-registry.ts';
import { observersFor } from '../../hooks/observers.ts';
import type { KvCache } from '../../model/cache/kv-cache.ts';
import { OptionError, show as showValue } from '../../options.ts';
import { availableMemory } from '../../platform/available-memory.ts';
import { elements } from '../../tensor/dtype.ts';
import { GradientTape } from '../../tensor/gradients/gradient-tape.ts';
import { release, scope } from '../../tensor/scope.ts';
import { show } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { drain, layers, type Pass } from '../passes.ts';
import { chosenRows } from '../run/run-sequences.ts';
import type { GradientOptions } from './gradient-options.ts';
import { Gradients } from './gradients.ts';

/** The network, and the prompt whose pass the gradients go back through. */
export interface DifferentiatedPass extends Pick<Pass, 'network' | 'backend'> {
  readonly hooks: HookRegistry;
  readonly tokens: Int32Array;
  /** An empty one, which is only read. */
  readonly cache: KvCache;
  /** Bytes that activations may take. Default: most of what is available now, where tensors lie in the host's memory. */
  readonly maxMemory?: number | undefined;
}

/** The share of the available memory that a tape may take; the rest is for the gradients and the machine. */
const SHARE = 0.9;

/**
 * Runs a prompt in f32, and takes the gradients of a number in its activations.
 *
 * @throws {HookError} for hooks that the model does not have, or at which there is no gradient.
 * @throws {OptionError} where `of` gives no number that was computed from the logits.
 * @throws {VitrineError} where memory does not suffice.
 */
export function takeGradients(options: GradientOptions, prompt: DifferentiatedPass): Gradients {
  const { of, at, rows = 'all' } = options;
  const { network, backend, hooks, tokens, cache } = prompt;
  const { maxMemory = backend.usesHostMemory ? SHARE * availableMemory() : Infinity } = prompt;
  const tape = new GradientTape();
  const points = new GradientPoints(at, hooks, tape);
  const { editor, recorder } = observersFor(options, hooks);
  const pass: Pass = {
    network,
    backend,
    compute: 'f32',
    // The cache stays empty: keys and values go from the rows to their attention without it.
    sequences: [{ tokens, cache, seen: 0 }],
    rows: rows === 'all' ? rows : [chosenRows('gradients', { rows, tokens }, 0)],
    observers: editor ? [editor, points, recorder] : [points, recorder],
  };
  try {
    return scope('', () => {
      const value = tape.run(() => valueOf(of(tape.watch(release(drain(boundedLayers(pass, tape, maxMemory))))), tape));
      tape.takeBack(value);
      const acts = recorder.take();
      try {
        return new Gradients(value.data64()[0], points.take(), acts);
      } catch (error) {
        for (const tensor of Object.values(acts)) tensor.dispose();
        throw error;
      }
    });
  } finally {
    recorder.discard();
    tape.dispose();
  }
}

/** The layers of a pass, which ends where its tape has taken the memory. */
function* boundedLayers(pass: Pass, tape: GradientTape, most: number): Generator<undefined, Tensor, undefined> {
  let done = 0;
  for (const steps = layers(pass); ;) {
    const next = steps.next();
    if (next.done) return next.value;
    if (tape.bytes > most) {
      steps.return(undefined as never);
      throw new VitrineError(
        `gradients: the activations of ${done} of ${pass.network.blocks.length} layers that they need take ${formatBytes(tape.bytes)}, ` +
          `and ${formatBytes(most)} may be taken. Shorten the prompt, or ask for gradients at later layers only.`,
      );
    }
    done++;
    yield;
  }
}

/** @throws {OptionError} unless it is one number that was computed from the logits. */
function valueOf(value: unknown, tape: GradientTape): Tensor {
  const wanted = 'gradients: expected one number in a tensor from `of`, computed from the logits by methods of tensors';
  if (!(value instanceof Tensor)) throw new OptionError(`${wanted}, got ${showValue(value)}.`);
  if (elements(value.shape) !== 1) throw new OptionError(`${wanted}, got ${value.dtype} ${show(value.shape)}.`);
  if (!tape.tracks(value))
    throw new OptionError(
      `${wanted}, got a constant: what is read with data() and put in a tensor again has no gradient.`,
    );
  return value;
}
