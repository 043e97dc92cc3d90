import { readFileSync } from 'node:fs';
import { Run } from '../engine/run/run.ts';
import { VitrineError } from '../errors.ts';
import { JsonError, parseJson } from '../json.ts';
import { openSafetensors, type SafetensorsFile } from '../loader/safetensors/open-safetensors.ts';
import { writeSafetensors } from '../loader/safetensors/write-safetensors.ts';
import { matchHooks } from '../hooks/match.ts';
import { checkArgument, type Checks, checkOptions, OBJECT, PATH, TEXTS } from '../options.ts';
import type { Backend } from '../tensor/backend.ts';
import { createBackend } from '../tensor/backends.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Precision, type RecordedHook, type RecordedPass, Recording } from './recording.ts';

const PRECISIONS: readonly Precision[] = ['f64', 'f32', 'f16', 'bf16'];

/** How to save a recording. */
export interface SaveOptions {
  /** More metadata of the file. Default: none. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

const SAVE_CHECKS: Checks<SaveOptions> = { metadata: OBJECT };

/**
 * Writes activations to a safetensors file, each under its name, as F32 or I32, so that Python's `safetensors` reads them
 * too. The metadata of a recording has `model`, `tokens` (JSON), `precision`, `hooks` (JSON: name and axes of each, in the order of the
 * pass) and `vitrine`, the version.
 *
 * @param recording Of `record`; or of `run`, whose captures are written under the names that were asked for.
 * @throws {SafetensorsError} and {LoadError} as `writeSafetensors` does.
 */
export async function saveRecording(
  path: string,
  recording: Recording | Run,
  options: SaveOptions = {},
): Promise<void> {
  checkOptions('saveRecording', options, SAVE_CHECKS);
  const words = 'a recording, of record(), or a run, of model.run()';
  const holds = (value: unknown): boolean => value instanceof Recording || value instanceof Run;
  checkArgument('saveRecording', 'the recording', recording, { words, holds });
  const tensors = Object.entries(recording.acts as Readonly<Record<string, Tensor>>).map(([name, tensor]) => {
    const isInteger = tensor.dtype === 'i32';
    const data = (): Float32Array | Int32Array => (isInteger ? (tensor.integers() as Int32Array) : tensor.data());
    return [name, { dtype: isInteger ? 'I32' : 'F32', shape: tensor.shape, data }] as const;
  });
  const known = recording instanceof Recording ? metadataOf(recording) : {};
  await writeSafetensors(path, tensors, { ...options.metadata, ...known, vitrine: version() });
}

const metadataOf = ({ model, tokens, precision, hooks }: RecordedPass): Record<string, string> => ({
  model,
  tokens: JSON.stringify(tokens),
  precision,
  hooks: JSON.stringify(
    [...hooks].map(([name, { axes, isMeasure }]) => [name, axes, ...(isMeasure ? ['measure'] : [])]),
  ),
});

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** How to load a recording. */
export interface LoadRecordingOptions {
  /** Names or globs of the activations to be read. Default: all. */
  readonly names?: readonly string[] | undefined;
  /** Where they are to lie; those of a model can go into its passes. Default: that of `createBackend()`. */
  readonly backend?: Backend | undefined;
}

const LOAD_CHECKS: Checks<LoadRecordingOptions> = { names: TEXTS, backend: OBJECT };

/**
 * Reads a safetensors file of activations: one of `saveRecording`, of `scripts/dump-transformers.py`, or any whose tensors have the
 * names of hooks. Narrow floats become f32, which is exact; f64 is rounded to f32.
 *
 * @throws {LoadError} and {SafetensorsError} where the file cannot be read or breaks a rule of the format.
 * @throws {VitrineError} for metadata that does not fit.
 * @throws {HookError} for a name that is not in the file.
 */
export async function loadRecording(path: string, options: LoadRecordingOptions = {}): Promise<Recording> {
  checkArgument('loadRecording', 'the path', path, PATH);
  checkOptions('loadRecording', options, LOAD_CHECKS);
  const { names, backend = createBackend() } = options;
  const file = await openSafetensors(path);
  const acts: Record<string, Tensor> = {};
  try {
    const pass = passOf(file);
    const all = [...pass.hooks.keys()];
    const wanted =
      names === undefined ? all : names.flatMap((one) => matchHooks(one, all)).flatMap((group) => group.names);
    const hooks = new Map([...pass.hooks].filter(([name]) => wanted.includes(name)));
    for (const name of hooks.keys()) acts[name] = await readTensor(file, name, backend);
    return new Recording({ ...pass, hooks }, acts);
  } catch (error) {
    for (const tensor of Object.values(acts)) tensor.dispose();
    throw error;
  } finally {
    await file.close();
  }
}

async function readTensor(file: SafetensorsFile, name: string, backend: Backend): Promise<Tensor> {
  const tensor = await file.read(name);
  const isInteger = /^[IU]\d/.test(tensor.dtype);
  return Tensor.from(backend, isInteger ? Int32Array.from(tensor.data, Number) : tensor.toFloat32(), tensor.shape);
}

/** What the metadata say; of a file without, the tensors in its order. */
function passOf(file: SafetensorsFile): RecordedPass {
  const { metadata, path, tensors } = file;
  const wrong = (key: string, expected: string): VitrineError =>
    new VitrineError(`${path}: the metadata "${key}" must be ${expected}. Record it again.`);
  const parsed = (key: string): unknown => {
    const text = metadata.get(key);
    if (text === undefined) return undefined;
    try {
      return parseJson(text);
    } catch (error) {
      if (error instanceof JsonError) throw wrong(key, `JSON: ${error.message}`);
      throw error;
    }
  };
  const precision = (metadata.get('precision') ?? 'f32') as Precision;
  if (!PRECISIONS.includes(precision)) throw wrong('precision', PRECISIONS.join(', '));
  const tokens = parsed('tokens') ?? [];
  if (!Array.isArray(tokens) || !tokens.every((id) => Number.isSafeInteger(id) && id >= 0))
    throw wrong('tokens', 'a JSON list of token ids');
  const listed = parsed('hooks') ?? [...tensors.keys()].map((name) => [name, '']);
  const isHook = (hook: unknown): hook is string[] =>
    Array.isArray(hook) && hook.length >= 2 && hook.every((text) => typeof text === 'string');
  if (!Array.isArray(listed) || !listed.every(isHook)) throw wrong('hooks', 'a JSON list of pairs of name and axes');
  const hooks = new Map<string, RecordedHook>();
  for (const [name, axes, kind] of listed) {
    const entry = tensors.get(name);
    if (entry === undefined) throw wrong('hooks', `names of tensors in the file, got ${name}`);
    if (axes !== '' && axes.split(' ').length !== entry.shape.length)
      throw wrong('hooks', `an axis for each of the ${entry.shape.length} of ${name}, got "${axes}"`);
    hooks.set(name, { axes, isMeasure: kind === 'measure' });
  }
  return { model: metadata.get('model') ?? path, tokens: tokens as number[], precision, hooks };
}
