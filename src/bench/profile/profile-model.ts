import { loadNetwork } from '../../engine/load/load-network.ts';
import type { WeightOptions } from '../../engine/load/load-options.ts';
import { openModel } from '../../loader/open/open-model.ts';
import { Model } from '../../engine/model.ts';
import { type BackendName, createBackend } from '../../tensor/backends.ts';
import { VitrineError } from '../../errors.ts';
import { fingerprint, type Fingerprint } from '../machine/fingerprint.ts';
import { modelHash } from '../subject/model-hash.ts';
import { CallRecorder } from './call-recorder.ts';
import { fasterHalf, mean, type PassProfile, type RecordedPass, summarize } from './pass-profile.ts';

/** The settings of `profileModel`. */
export interface ProfileOptions extends Pick<WeightOptions, 'weights' | 'signal'> {
  /** A folder, a GGUF file or a hub id. */
  readonly source: string;
  /** Default `auto`. */
  readonly backend?: BackendName | 'auto' | undefined;
  readonly threads?: number | undefined;
  /** Tokens in the cache before the one that is decoded. Default 128. */
  readonly depth?: number | undefined;
  /** Tokens of a prompt to profile too, from 1 to 512, the most that go through a model in one pass. Default: no prompt. */
  readonly prefill?: number | undefined;
  /** Passes, of which the faster half counts; a prompt has an eighth as many. Default 32. */
  readonly repetitions?: number | undefined;
}

/** The result of `profileModel`. */
export interface Profile {
  readonly format: 'vitrine-bench-profile';
  readonly version: 1;
  readonly fingerprint: Fingerprint;
  readonly model: string;
  /** The backend's description. */
  readonly backend: string;
  readonly weightBytes: number;
  readonly decode: PassProfile;
  readonly prefill: PassProfile | undefined;
}

/** Tokens of the warm-up: by then code is compiled, and threads are awake. */
const WARM_UP = 8;
/** The most tokens of a prompt that go through a model in one pass. */
const MOST_AT_ONCE = 512;

/**
 * Profiles a model: calls, time and bytes of each op and of each layer, over tokens of greedy generation. Recorded passes
 * alternate with others that are not, which shows the cost of the recording itself.
 *
 * @throws {VitrineError} when the model cannot be loaded, or the prompt is too long for one pass.
 */
export async function profileModel(options: ProfileOptions): Promise<Profile> {
  const { source, threads, weights, signal, depth = 128, prefill, repetitions = 32 } = options;
  if (prefill !== undefined && !(prefill >= 1 && prefill <= MOST_AT_ONCE))
    throw new VitrineError(
      `profile: expected a prompt of 1 to ${MOST_AT_ONCE} tokens, which go in one pass, got ${prefill}.`,
    );
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
  return { ...what, seconds: mean(fasterHalf(plain, (duration) => duration)) / 1000, ...summarize(recorded) };
}

async function recordPass(recorder: CallRecorder, pass: () => Promise<unknown>): Promise<RecordedPass> {
  const start = performance.now();
  const calls = await recorder.record(pass);
  return { start, end: performance.now(), calls };
}
