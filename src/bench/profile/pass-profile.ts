import type { Call } from './call-recorder.ts';

/** All calls in a pass of an op with the same shape of weight. */
export interface OpProfile {
  /** As in `Call`. */
  readonly op: string;
  /** As in `Call`. */
  readonly weight: string;
  readonly calls: number;
  readonly seconds: number;
  /** The part of the pass's time, from 0 to 1. */
  readonly share: number;
  /** Bytes read: weights, cache and activations. */
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** The kernels that the backend ran for it, each once; none if it only passed on a handle. */
  readonly kernels: readonly string[];
}

/** A part of a pass: a layer, or the calls before or after all layers. */
export interface LayerProfile {
  /** `embedding` (with masks and rotary angles), the layer's number, `head`, or `sampling` (with decoding to text). */
  readonly layer: string;
  readonly calls: number;
  /** Seconds in ops. */
  readonly seconds: number;
  /** Seconds before and between ops: scopes, shapes, tensors. */
  readonly between: number;
  readonly bytes: number;
}

/** The profile of one kind of pass: means over several passes. */
export interface PassProfile {
  /** Tokens that went through the model at once. */
  readonly tokens: number;
  /** Tokens that were in the cache before. */
  readonly depth: number;
  /** Seconds from the request for a token to its arrival, without recording. */
  readonly seconds: number;
  /** Seconds with recording. All following figures are from recorded passes. */
  readonly recordedSeconds: number;
  /** Seconds of `recordedSeconds` outside of ops. */
  readonly unaccounted: number;
  readonly calls: number;
  readonly ops: readonly OpProfile[];
  readonly layers: readonly LayerProfile[];
}

/** A pass with the calls that were recorded in it; times are those of `performance.now()`. */
export interface RecordedPass {
  readonly start: number;
  readonly end: number;
  readonly calls: readonly Call[];
}

/**
 * Means over the faster half of the passes, so that ops, layers and the time between ops add up to a pass, as medians would
 * not. Other processes make passes slower, so the slower half says more about them.
 */
export function summarize(passes: readonly RecordedPass[]): Omit<PassProfile, 'tokens' | 'depth' | 'seconds'> {
  const fast = fasterHalf(passes, ({ start, end }) => end - start);
  const recordedSeconds = mean(fast.map(({ start, end }) => end - start)) / 1000;
  const byOp = sums(fast, ({ calls }) => calls.map((call) => ({ ...call, key: keyOf(call), between: 0 })));
  const kernels = (key: string): string[] => [
    ...new Set(fast[0].calls.flatMap((call) => (keyOf(call) === key ? call.kernels : []))),
  ];
  const ops = [...byOp].map(([key, { calls, seconds, bytes }]) => {
    const [op, ...weight] = key.split(' ');
    const share = seconds / recordedSeconds;
    return {
      op,
      weight: weight.join(' '),
      calls,
      seconds,
      share,
      bytes,
      bytesPerSecond: bytes / seconds,
      kernels: kernels(key),
    };
  });
  return {
    recordedSeconds,
    unaccounted: recordedSeconds - ops.reduce((sum, { seconds }) => sum + seconds, 0),
    calls: mean(fast.map(({ calls }) => calls.length)),
    ops: ops.toSorted((a, b) => b.seconds - a.seconds),
    layers: [...sums(fast, callsByLayer)].map(([layer, figures]) => ({ layer, ...figures })),
  };
}

const keyOf = ({ op, weight }: Call): string => `${op} ${weight}`;

/** The arithmetic mean. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The passes of less than median duration. */
export const fasterHalf = <T>(passes: readonly T[], duration: (pass: T) => number): T[] =>
  passes.toSorted((a, b) => duration(a) - duration(b)).slice(0, Math.ceil(passes.length / 2));

/** A call, or the time after the last one, counted for the op or layer `key`. */
interface Part {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  /** Milliseconds between the call before and this one. */
  readonly between: number;
  readonly bytes: number;
  readonly op?: string;
}

/** The calls of a pass by layer. Calls outside of layers belong to the embedding before the first layer, and to the head after it. */
function callsByLayer({ start, end, calls }: RecordedPass): Part[] {
  let layer = 'embedding';
  let last = start;
  const parts: Part[] = calls.map((call) => {
    const inBlock = /^blocks\.(\d+)/.exec(call.path);
    // A layer's tensors are freed after its scope has ended.
    if (inBlock !== null) layer = inBlock[1];
    else if (call.op !== 'free' && layer !== 'embedding') layer = 'head';
    const between = call.start - last;
    last = call.end;
    return { ...call, key: layer, between };
  });
  return [...parts, { key: 'sampling', start: last, end: last, between: end - last, bytes: 0 }];
}

interface Sums {
  calls: number;
  seconds: number;
  between: number;
  bytes: number;
}

/** For each key, the sums over a pass, averaged over passes; keys are in the order of their first call. */
function sums(passes: readonly RecordedPass[], partsOf: (pass: RecordedPass) => readonly Part[]): Map<string, Sums> {
  const byKey = new Map<string, Sums>();
  for (const { key, op, start, end, between, bytes } of passes.flatMap(partsOf)) {
    const sum = byKey.get(key) ?? { calls: 0, seconds: 0, between: 0, bytes: 0 };
    byKey.set(key, sum);
    sum.calls += op === undefined ? 0 : 1 / passes.length;
    sum.seconds += (end - start) / 1000 / passes.length;
    sum.between += between / 1000 / passes.length;
    sum.bytes += bytes / passes.length;
  }
  return byKey;
}
