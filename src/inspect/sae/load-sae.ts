import { join } from 'node:path';
import type { Model } from '../../engine/model.ts';
import { ModelFolder } from '../../loader/files/model-folder.ts';
import { LoadError } from '../../loader/load-error.ts';
import { readSafetensors, type SafetensorsFile } from '../../loader/safetensors/open-safetensors.ts';
import { nearest } from '../../nearest.ts';
import { checkArgument, checkOptions, type Checks, NAME, PATH } from '../../options.ts';
import { quote } from '../../quote.ts';
import type { Backend } from '../../tensor/backend.ts';
import { keep } from '../../tensor/scope.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { Sae, type SaeWeights } from './sae.ts';
import { readSaeConfig, type SaeConfig } from './sae-config.ts';

/** Where an autoencoder is attached. */
export interface SaeOptions {
  /** The hook whose activation it reads. Default: `hook_name` of cfg.json. */
  readonly hook?: string | undefined;
  /** The hook whose activation a transcoder reconstructs. Default: `hook_name_out` of cfg.json. */
  readonly hookOut?: string | undefined;
}

const CHECKS: Checks<SaeOptions> = { hook: NAME, hookOut: NAME };
const WEIGHTS_NAME = 'sae_weights.safetensors';
const MAX_CONFIG_BYTES = 2 ** 20;
/** Tensors that SAELens once wrote beside the others, and that nothing reads where the config's flag for them is false. */
const UNUSED = ['scaling_factor'];

/**
 * Loads a sparse autoencoder or transcoder in SAELens' form: a folder with `cfg.json` and `sae_weights.safetensors`, of
 * architecture standard, gated, jumprelu, topk, transcoder, skip_transcoder, jumprelu_transcoder or jumprelu_skip_transcoder,
 * in the form of sae-lens 6 or the flat one before. All arithmetic is f32, whatever dtype the file has.
 *
 * @param model The model to attach it to: its hooks are checked, and the weights lie in its backend.
 * @throws {LoadError} for a file that is missing or malformed, a field that is not supported, and a tensor that is missing, has
 *   another shape or is unknown; it names the file and the field or tensor.
 * @throws {SafetensorsError} for weights that break a rule of the format.
 */
export async function loadSae(model: Model, folder: string, options: SaeOptions = {}): Promise<Sae> {
  checkArgument('loadSae', 'the folder', folder, PATH);
  checkOptions('loadSae', options, CHECKS);
  const files = new ModelFolder(folder);
  const path = join(folder, 'cfg.json');
  const config = readSaeConfig(path, await files.readJson('cfg.json', MAX_CONFIG_BYTES));
  const { hookName, hookNameOut, isTranscoder } = config;
  const hook = knownHook(model, path, 'hook', 'hook_name', options.hook ?? hookName);
  const hookOut = isTranscoder
    ? knownHook(model, path, 'hookOut', 'hook_name_out', options.hookOut ?? hookNameOut)
    : hook;
  const file = await readSafetensors(await files.open(WEIGHTS_NAME));
  try {
    return new Sae(config, await readWeights(file, config, model.backend), { hook, hookOut });
  } finally {
    await file.close();
  }
}

function knownHook(model: Model, path: string, option: string, field: string, name: string | undefined): string {
  if (name === undefined)
    throw new LoadError(
      `${path}: expected ${field}, found none. Name the hook: loadSae(model, folder, { ${option} }).`,
    );
  if (model.hookPoints.has(name)) return name;
  throw new LoadError(
    `${path}: ${field}: the model has no hook ${quote(name)}. Nearest: ${nearest(name, model.hooks).join(', ')}. ` +
      `Name another one: loadSae(model, folder, { ${option} }).`,
  );
}

/** The tensors of each architecture, with their shapes. */
function expectedShapes({ encoder, hasSkip, dIn, dSae, dOut }: SaeConfig): Record<string, readonly number[]> {
  return {
    W_enc: [dIn, dSae],
    W_dec: [dSae, dOut],
    b_dec: [dOut],
    ...(encoder === 'gated' ? { b_gate: [dSae], b_mag: [dSae], r_mag: [dSae] } : { b_enc: [dSae] }),
    ...(encoder === 'jumprelu' && { threshold: [dSae] }),
    ...(hasSkip && { W_skip: [dOut, dIn] }),
  };
}

async function readWeights(file: SafetensorsFile, config: SaeConfig, backend: Backend): Promise<SaeWeights> {
  const shapes = expectedShapes(config);
  // Older checkpoints hold the logarithm.
  const storedName = (name: string): string =>
    name === 'threshold' && !file.tensors.has(name) && file.tensors.has('log_threshold') ? 'log_threshold' : name;
  const names = Object.keys(shapes).map(storedName);
  const unknown = [...file.tensors.keys()].find((name) => !names.includes(name) && !UNUSED.includes(name));
  if (unknown !== undefined)
    throw new LoadError(
      `${file.path}: ${quote(unknown)} is no tensor of a ${config.architecture} autoencoder, which has ${names.join(', ')}. ` +
        'Check `architecture` in cfg.json.',
    );
  for (const [name, shape] of Object.entries(shapes)) {
    const stored = file.tensors.get(storedName(name));
    if (stored !== undefined && sameShape(stored.shape, shape)) continue;
    throw new LoadError(
      `${file.path}: ${name}: expected ${show(shape)}, ${stored ? `the file has ${show(stored.shape)}` : 'which the file lacks'}. ` +
        'Check that cfg.json and the weights belong together.',
    );
  }
  const weights: Record<string, Tensor> = {};
  try {
    for (const [name, shape] of Object.entries(shapes)) {
      const values = (await file.read(storedName(name))).toFloat32();
      if (storedName(name) !== name) values.forEach((value, i) => (values[i] = Math.exp(value)));
      weights[name] = keep(Tensor.from(backend, values, shape));
    }
  } catch (error) {
    for (const tensor of Object.values(weights)) tensor.dispose();
    throw error;
  }
  return weights as unknown as SaeWeights;
}
