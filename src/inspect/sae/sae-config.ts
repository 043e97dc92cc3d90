import { isObject, type Json } from '../../json.ts';
import { LoadError } from '../../loader/load-error.ts';
import { type Check, FLAG, NAME, oneOf, show, whole } from '../../options.ts';

/** How features come of the encoder's products, by the `architecture` of SAELens. */
const ENCODERS = {
  standard: 'relu',
  gated: 'gated',
  jumprelu: 'jumprelu',
  topk: 'topk',
  transcoder: 'relu',
  skip_transcoder: 'relu',
  jumprelu_transcoder: 'jumprelu',
  jumprelu_skip_transcoder: 'jumprelu',
} as const;

/** The `architecture` of a cfg.json that can be loaded. */
export type SaeArchitecture = keyof typeof ENCODERS;

/** A cfg.json of SAELens with every default filled in; each field is named after the file's. */
export interface SaeConfig {
  readonly architecture: SaeArchitecture;
  /** What makes features of `x W_enc + b_enc`. */
  readonly encoder: (typeof ENCODERS)[SaeArchitecture];
  readonly isTranscoder: boolean;
  /** Whether the result has the input times `W_skip` as well. */
  readonly hasSkip: boolean;
  /** Width of the activation that is read. */
  readonly dIn: number;
  /** The number of features. */
  readonly dSae: number;
  /** Width of the activation that is reconstructed; `dIn` but for transcoders. */
  readonly dOut: number;
  /** Whether `b_dec` is subtracted from the input. */
  readonly applyBDecToInput: boolean;
  /** What is done to each row before encoding and undone after decoding (transcoders do not undo it). */
  readonly normalizeActivations: 'none' | 'layer_norm' | 'constant_norm_rescale';
  /** `hook_z`: the heads of a row are laid end to end. */
  readonly reshapeActivations: 'none' | 'hook_z';
  /** Features that are kept for each row, for `topk`. */
  readonly k: number | undefined;
  /** Whether products are multiplied by the norms of W_dec's rows before the k largest are taken, and features divided by them after. */
  readonly rescaleActsByDecoderNorm: boolean;
  /** The hook whose activation is read, as the file names it. */
  readonly hookName: string | undefined;
  /** The hook whose activation a transcoder reconstructs. */
  readonly hookNameOut: string | undefined;
}

const ARCHITECTURE = oneOf(...Object.keys(ENCODERS));
/** Those that scale nothing at run time: SAELens folds their statistics into the weights as it saves them. */
const FOLDED = ['expected_average_only_in', 'covariance_whitening'];
const NORMALISATION = oneOf('none', 'layer_norm', 'constant_norm_rescale', ...FOLDED);

/**
 * Reads a cfg.json as sae-lens 6 does (`loading/pretrained_sae_loaders.py`): with its metadata apart, or flat, as it was written
 * before version 6.
 *
 * @param path That of the file, for messages.
 * @throws {LoadError} for a field that is missing, out of range, or asks for what is not supported; it names the field.
 */
export function readSaeConfig(path: string, file: Json): SaeConfig {
  const metadata = isObject(file.metadata) ? file.metadata : {};
  const version = file.sae_lens_version ?? metadata.sae_lens_version;
  const isFlat = typeof version !== 'string' || Number.parseInt(version, 10) < 6;
  const cfg = isFlat ? inNewForm(file) : { ...metadata, ...file };
  const read = <T>(name: string, check: Check, absent?: T): T => {
    const value = cfg[name] ?? absent; // Python writes null for what is absent.
    if (check.holds(value)) return value as T;
    throw new LoadError(`${path}: ${name} must be ${check.words}, got ${show(cfg[name])}.`);
  };
  const optional = (name: string): string | undefined =>
    (cfg[name] ?? undefined) === undefined ? undefined : read<string>(name, NAME);

  const architecture = read<SaeArchitecture>('architecture', ARCHITECTURE);
  const isTranscoder = architecture.endsWith('transcoder');
  const normalisation = read<string>('normalize_activations', NORMALISATION, 'none');
  const dIn = read<number>('d_in', whole(1));
  const dSae = read<number>('d_sae', whole(1));
  expectNothingElse(path, cfg, isTranscoder);
  return {
    architecture,
    encoder: ENCODERS[architecture],
    isTranscoder,
    hasSkip: architecture.includes('skip'),
    dIn,
    dSae,
    dOut: isTranscoder ? read<number>('d_out', whole(1)) : dIn,
    applyBDecToInput: read('apply_b_dec_to_input', FLAG, !isTranscoder),
    normalizeActivations: FOLDED.includes(normalisation)
      ? 'none'
      : (normalisation as SaeConfig['normalizeActivations']),
    reshapeActivations: read('reshape_activations', oneOf('none', 'hook_z'), 'none'),
    k: architecture === 'topk' ? read<number>('k', whole(1, dSae)) : undefined,
    rescaleActsByDecoderNorm: architecture === 'topk' && read<boolean>('rescale_acts_by_decoder_norm', FLAG, false),
    hookName: optional('hook_name'),
    hookNameOut: optional('hook_name_out'),
  };
}

/** The flat form of before version 6, under the names and with the defaults of today. */
function inNewForm(file: Json): Json {
  const hookName = file.hook_name ?? file.hook_point;
  const activation = file.activation_fn ?? file.activation_fn_str ?? 'relu';
  const { k } = isObject(file.activation_fn_kwargs) ? file.activation_fn_kwargs : {};
  const isTopK = activation === 'topk' && (k ?? undefined) !== undefined;
  const normalisation = file.normalize_activations;
  return {
    ...file,
    architecture: isTopK ? 'topk' : (file.architecture ?? 'standard'),
    k: isTopK ? k : file.k,
    activation_fn: activation,
    hook_name: hookName,
    hook_head_index: file.hook_head_index ?? file.hook_point_head_index,
    apply_b_dec_to_input: file.apply_b_dec_to_input ?? true,
    normalize_activations:
      normalisation === true ? 'expected_average_only_in' : normalisation === false ? 'none' : normalisation,
    reshape_activations:
      file.reshape_activations ?? (typeof hookName === 'string' && hookName.includes('hook_z') ? 'hook_z' : 'none'),
  };
}

/** @throws {LoadError} for settings that would change the result, and are not supported. */
function expectNothingElse(path: string, cfg: Json, isTranscoder: boolean): void {
  const refuse = (name: string, expected: string): never => {
    throw new LoadError(`${path}: ${name} must be ${expected}, got ${show(cfg[name])}: nothing else is supported.`);
  };
  for (const name of ['hook_head_index', 'hook_head_index_out'])
    if ((cfg[name] ?? undefined) !== undefined) refuse(name, 'null');
  if (cfg.finetuning_scaling_factor === true) refuse('finetuning_scaling_factor', 'false');
  if (!['relu', 'topk', undefined].includes(cfg.activation_fn as string | undefined))
    refuse('activation_fn', '"relu" or "topk"');
  if (isTranscoder && cfg.apply_b_dec_to_input === true) refuse('apply_b_dec_to_input', 'false for a transcoder');
}
