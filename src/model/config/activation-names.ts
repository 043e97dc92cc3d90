import type { Activation } from '../../tensor/ops/activation.ts';
import { ConfigError } from './config-error.ts';
import type { Json } from '../../json.ts';
import { show } from '../../options.ts';

/** transformers' names (`ACT2CLS` in its activations.py) of what can be computed here. */
const NAMES: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  relu2: 'relu2',
};

/** @throws {ConfigError} that names the field, for an activation that is not known. */
export function readActivation(raw: Json, field: string, absent: string): Activation {
  const name: unknown = raw[field] ?? absent;
  if (typeof name === 'string' && Object.hasOwn(NAMES, name)) return NAMES[name];
  throw new ConfigError(
    `config.json: ${field} ${show(name)} is not supported here (supported: ${Object.keys(NAMES).join(', ')}).`,
  );
}
