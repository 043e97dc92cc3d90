import { isObject, type Json } from '../../json.ts';
import { ConfigError } from './config-error.ts';
import { invalid } from './config-fields.ts';
import { show } from '../../options.ts';

/** How the matrices of a checkpoint are stored, beyond their dtypes. */
export type Quantisation = 'mxfp4' | 'fp8';

/**
 * Reads `quantization_config`. Which matrices are quantised is seen from their tensors, so `modules_to_not_convert` is
 * only checked; `activation_scheme` rounds activations, which is not done here.
 *
 * @throws {ConfigError} that names the field, for a method or setting that is not known.
 */
export function readQuantisation(raw: Json): Quantisation | undefined {
  const settings: unknown = raw.quantization_config ?? undefined;
  if (settings === undefined) return undefined;
  const where = 'quantization_config';
  if (!isObject(settings)) throw invalid(where, 'an object or null', settings);
  const method: unknown = settings.quant_method;
  if (method !== 'mxfp4' && method !== 'fp8')
    throw new ConfigError(
      `config.json: ${where}.quant_method ${show(method)} is not supported (supported: mxfp4, fp8).`,
    );
  const modules: unknown = settings.modules_to_not_convert ?? [];
  if (!Array.isArray(modules) || !modules.every((name) => typeof name === 'string'))
    throw invalid(`${where}.modules_to_not_convert`, 'a list of names or null', modules);
  if (method === 'mxfp4') return method;
  if ((settings.fmt ?? 'e4m3') !== 'e4m3') throw invalid(`${where}.fmt`, '"e4m3"', settings.fmt);
  const block: unknown = settings.weight_block_size === undefined ? [128, 128] : settings.weight_block_size;
  if (!Array.isArray(block) || block.length !== 2 || block[0] !== 128 || block[1] !== 128)
    throw invalid(`${where}.weight_block_size`, '[128, 128]', block);
  // The field says that factors are powers of two, which are multiplied like any others.
  if (![undefined, null, 'ue8m0'].includes(settings.scale_fmt as null))
    throw invalid(`${where}.scale_fmt`, '"ue8m0" or nothing', settings.scale_fmt);
  const scheme: unknown = settings.activation_scheme ?? 'dynamic';
  if (scheme !== 'dynamic') throw invalid(`${where}.activation_scheme`, '"dynamic"', scheme);
  return method;
}
