import { checkArgument, FLAG } from '../options.ts';
import type { DType } from './dtype.ts';
import type { Shape } from './shape.ts';

/** A tensor that was made while `traceTensors` was on, and whose memory is not freed. */
export interface TracedTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Whether no scope owns it, but a cache, a recording, a parameter or the caller. */
  readonly kept: boolean;
  /** The call of a method or function of tensors that made it: function, file, line and column. */
  readonly madeAt: string;
  /** All calls that led to its constructor, the innermost first, one to a line. */
  readonly stack: string;
}

/** The part of a tensor that is listed. */
interface Listed {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly kept: boolean;
}

interface Trace {
  /** Weak, so that a forgotten tensor is collected, and then freed. */
  readonly tensor: WeakRef<Listed>;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly stack: string;
}

let traces: Map<object, Trace> | undefined;

/** Frames of a stack that are kept. */
const FRAMES = 50;

/** The folder of the library's sources or of what was built of them, with a slash at its end. */
const ROOT = new URL('../../', import.meta.url).pathname;
const OWN_FRAME = new RegExp(`${ROOT.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}(src|dist)/tensor/(?!ops/)`);

/**
 * Has each tensor that is made from now on remember where: for `tracedTensors`. It costs 50 to 90 us for each, and one comparison when
 * off, as at first. Switching it off forgets all.
 *
 * @param on Default true.
 */
export function traceTensors(on = true): void {
  checkArgument('traceTensors', 'the argument', on, FLAG);
  traces = on ? (traces ?? new Map<object, Trace>()) : undefined;
}

/** The tensors made since `traceTensors()` whose memory is in use, the oldest first; none where it is off. */
export function tracedTensors(): TracedTensor[] {
  return [...(traces?.values() ?? [])].map(({ tensor, dtype, shape, stack }) => {
    const frames = stack.split('\n');
    const madeAt = frames.find((frame) => !OWN_FRAME.test(frame)) ?? frames[0];
    return { dtype, shape, kept: tensor.deref()?.kept ?? false, madeAt, stack };
  });
}

/** Notes where a tensor was made; one comparison where nobody asked. @param owned Stands for its memory. */
export function noteMade(owned: object, tensor: Listed): void {
  if (traces === undefined) return;
  const { dtype, shape } = tensor;
  traces.set(owned, { tensor: new WeakRef(tensor), dtype, shape, stack: stackHere() });
}

/** Forgets a tensor whose memory was freed. */
export function noteFreed(owned: object): void {
  traces?.delete(owned);
}

/** The calls that led here, as text: an Error that is not read yet would hold the objects on the stack. */
function stackHere(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const [, ...frames] = (new Error().stack ?? '').split('\n');
  Error.stackTraceLimit = limit;
  return frames.map((frame) => frame.trim().replace(/^at /, '')).join('\n');
}
