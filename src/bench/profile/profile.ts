import { loadNetwork } from '../../engine/load/load-network.ts';
import type { WeightOptions } from '../../engine/load/load-options.ts';
import { openModel } from '../../loader/open-model.ts';
import { Model } from '../../engine/model.ts';
import { type BackendName, createBackend } from '../../tensor/backends.ts';
import { VitrineError } from '../../errors.ts';
import { fingerprint, type Fingerprint } from '../fingerprint.ts';
import { modelHash } from '../model-hash.ts';
import { type Call, CallRecorder } from './recorder.ts';

export interface ProfileOptions extends Pick<WeightOptions, 'weights' | 'signal'> {
  readonly source: string;
  /** Default `auto`. */
  readonly backend?: BackendName | 'auto' | undefined;
  readonly threads?: number | undefined;
  /** Tokens before the one that is decoded. Default 128. */
  readonly depth?: number | undefined;
  /** Tokens of a prompt whose pass is profiled too, from 1 to 512, which go in one pass. Default: none is. */
  readonly prefill?: number | undefined;
  /** Passes of which the quieter half counts. Default 32 tokens; of a prompt, an eighth as many passes. */
  readonly repetitions?: number | undefined;
}

/** What all calls of an op (with the same weight's shape, where it has one) do in a pass. */
export interface OpProfile {
  readonly op: string;
  readonly weight: string;
  readonly calls: number;
  readonly seconds: number;
  /** Of the pass. */
  readonly share: number;
  /** Read: weights, cache and activations. */
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** All kernels that the backend ran for it, each once. None where it only moved a handle. */
  readonly kernels: readonly string[];
}

/** A stretch of a pass: a layer, or what comes before and after all of them. */
export interface LayerProfile {
  /** `embedding`, which includes masks and angles; the layer's number; `head`; `sampling`, which includes the text. */
  readonly layer: string;
  readonly calls: number;
  /** In ops. */
  readonly seconds: number;
  /** Before and between ops: scopes, shapes, tensors. */
  readonly between: number;
  readonly bytes: number;
}

export interface PassProfile {
  /** Tokens that went through the model at once. */
  readonly tokens: number;
  /** Tokens that were in the cache before. */
  readonly depth: number;
  /** From the request for a token until it is there, while nobody records. */
  readonly seconds: number;
  /** The same while calls are recorded, which all that follows is of. */
  readonly recordedSeconds: number;
  /** The part of `recordedSeconds` that no op accounts for. */
  readonly unaccounted: number;
  readonly calls: number;
  readonly ops: readonly OpProfile[];
  readonly layers: readonly LayerProfile[];
}

export interface Profile {
  readonly format: 'vitrine-bench-profile';
  readonly version: 1;
  readonly fingerprint: Fingerprint;
  readonly model: string;
  readonly backend: string;
  readonly weightBytes: number;
  readonly decode: PassProfile;
  readonly prefill: PassProfile | undefined;
}

/** Tokens after which code is compiled and threads are awake. */
const WARM_UP = 8;
/** Tokens of a prompt that go through a model in one pass. */
const MOST_AT_ONCE = 512;

/**
 * Where the time of a token goes: calls, time and bytes of each op and of each layer, over real tokens of greedy generation.
 * Recorded tokens alternate with others that nobody listens to, which shows what the recording itself costs.
 */
export async function profileModel(options: ProfileOptions): Promise<Profile> {
  const { source, threads, weights, signal, depth = 128, prefill, repetitions = 32 } = options;
  if (prefill !== undefined && !(prefill >= 1 && prefill <= MOST_AT_ONCE))
    throw new VitrineError(`profile: expected a prompt of 1 to ${MOST_AT_ONCE} tokens, which go in one pass, got ${prefill}.`); // prettier-ignore
  const files = await openModel(source, { signal });
  try {
    const recorder = new CallRecorder(createBackend(options.backend, { threads }));
    const { backend } = recorder;
    using model = new Model(files, backend, await loadNetwork(files, backend, { weights, signal }), undefined);
    const subject = { model, recorder, signal };
    return {
      format: 'vitrine-bench-profile',
      version: 1,
      fingerprint: fingerprint({ threads, model: await modelHash(files) }),
      model: source,
      backend: backend.description,
      weightBytes: model.weightBytes,
      decode: await profileDecode(subject, Math.max(1, depth), repetitions),
      prefill: prefill === undefined ? undefined : await profilePrefill(subject, prefill, Math.ceil(repetitions / 8)),
    };
  } finally {
    await files.checkpoint.close();
  }
}

interface Subject {
  readonly model: Model;
  readonly recorder: CallRecorder;
  readonly signal: AbortSignal | undefined;
}

async function profileDecode({ model, recorder, signal }: Subject, depth: number, count: number): Promise<PassProfile> {
  const maxTokens = 1 + WARM_UP + 2 * count;
  const tokens = model.generate(promptOf(model, depth), { temperature: 0, ignoreEos: true, maxTokens, signal });
  try {
    for (let i = 0; i <= WARM_UP; i++) await tokens.next();
    return await profilePass(recorder, () => tokens.next(), count, { tokens: 1, depth });
  } finally {
    await tokens.return();
  }
}

function profilePrefill({ model, recorder, signal }: Subject, tokens: number, count: number): Promise<PassProfile> {
  const prompt = promptOf(model, tokens);
  const pass = async (): Promise<unknown> =>
    model.generate(prompt, { temperature: 0, ignoreEos: true, maxTokens: 1, signal }).next();
  return profilePass(recorder, pass, count, { tokens, depth: 0 });
}

const promptOf = ({ config: { vocabSize } }: Model, length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 7919) % vocabSize);

async function profilePass(
  recorder: CallRecorder,
  pass: () => Promise<unknown>,
  count: number,
  what: Pick<PassProfile, 'tokens' | 'depth'>,
): Promise<PassProfile> {
  const plain: number[] = [];
  const recorded: RecordedPass[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await pass();
    plain.push(performance.now() - start);
    recorded.push(await recordPass(recorder, pass));
  }
  return { ...what, seconds: mean(quieterHalf(plain, (duration) => duration)) / 1000, ...summarize(recorded) };
}

interface RecordedPass {
  readonly start: number;
  readonly end: number;
  readonly calls: readonly Call[];
}

async function recordPass(recorder: CallRecorder, pass: () => Promise<unknown>): Promise<RecordedPass> {
  const start = performance.now();
  const calls = await recorder.record(pass);
  return { start, end: performance.now(), calls };
}

/**
 * Averages over the quieter half of the passes, so that ops, layers and what is between them add up to a pass, as medians
 * would not. What disturbs makes passes longer: the other half tells of other processes.
 */
export function summarize(passes: readonly RecordedPass[]): Omit<PassProfile, 'tokens' | 'depth' | 'seconds'> {
  const quiet = quieterHalf(passes, ({ start, end }) => end - start);
  const recordedSeconds = mean(quiet.map(({ start, end }) => end - start)) / 1000;
  const byOp = sums(quiet, ({ calls }) => calls.map((call) => ({ ...call, key: keyOf(call), between: 0 })));
  const kernels = (key: string): string[] => [
    ...new Set(quiet[0].calls.flatMap((call) => (keyOf(call) === key ? call.kernels : []))),
  ];
  const ops = [...byOp].map(([key, { calls, seconds, bytes }]) => {
    const [op, ...weight] = key.split(' ');
    const share = seconds / recordedSeconds;
    return { op, weight: weight.join(' '), calls, seconds, share, bytes, bytesPerSecond: bytes / seconds, kernels: kernels(key) }; // prettier-ignore
  });
  return {
    recordedSeconds,
    unaccounted: recordedSeconds - ops.reduce((sum, { seconds }) => sum + seconds, 0),
    calls: mean(quiet.map(({ calls }) => calls.length)),
    ops: ops.toSorted((a, b) => b.seconds - a.seconds),
    layers: [...sums(quiet, stretches)].map(([layer, figures]) => ({ layer, ...figures })),
  };
}

const keyOf = ({ op, weight }: Call): string => `${op} ${weight}`;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const quieterHalf = <T>(passes: readonly T[], duration: (pass: T) => number): T[] =>
  passes.toSorted((a, b) => duration(a) - duration(b)).slice(0, Math.ceil(passes.length / 2));

/** A call, or the time after the last one, as a part of something that is named by `key`. */
interface Part {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  /** Milliseconds before it. */
  readonly between: number;
  readonly bytes: number;
  readonly op?: string;
}

/** The calls of a pass by layer. What is outside of layers belongs to the embedding before the first, and to the head after. */
function stretches({ start, end, calls }: RecordedPass): Part[] {
  let layer = 'embedding';
  let last = start;
  const parts: Part[] = calls.map((call) => {
    const inBlock = /^blocks\.(\d+)/.exec(call.path);
    // What a layer leaves behind is freed when its scope has ended.
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

/** For each key, the sums within a pass, averaged over passes; in the order in which keys first come up. */
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
