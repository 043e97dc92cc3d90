import { BACKEND_NAMES, type BackendName, isReference } from '../../tensor/backends.ts';
import { packedFormat, WEIGHT_FORMATS, type WeightFormat } from '../subject/weight-format.ts';
import type { Case, Suite } from '../suites/suite.ts';

/** A backend of the engine with a format for its matrices. */
export interface EngineVariant {
  /** `tensorflow-bf16`; the backend's name alone for ops without matrices, and for the reference. */
  readonly name: string;
  readonly backend: BackendName;
  readonly weights: WeightFormat;
}

/** All names of engine variants, and `none`. A backend's name alone stands for all of its variants. */
export const VARIANT_NAMES: readonly string[] = [
  ...BACKEND_NAMES.flatMap((backend) => [
    backend,
    ...(isReference(backend) ? [] : WEIGHT_FORMATS.map((format) => `${backend}-${format}`)),
  ]),
  'none',
];

/**
 * The engine's variants of an op, best first. For an op with matrices, each backend has one for each format: the codes in
 * which the model stores them, if it does, then bf16 and f32; the reference has f32 only.
 */
export function engineVariants(
  { operands }: Suite,
  { sizes, site, stored }: Pick<Case, 'sizes' | 'site' | 'stored'>,
): EngineVariant[] {
  const hasMatrices = Object.values(operands(sizes, site)).some(({ kind }) => kind === 'matrix');
  const codes = stored !== undefined && packedFormat(stored) !== undefined ? [stored] : [];
  return BACKEND_NAMES.flatMap((backend): EngineVariant[] => {
    if (!hasMatrices || isReference(backend)) return [{ name: backend, backend, weights: 'f32' }];
    return [...codes, 'bf16' as const, 'f32' as const].map((weights) => ({
      name: `${backend}-${weights}`,
      backend,
      weights,
    }));
  });
}

/** Splits the name of an engine variant: `tensorflow-bf16` into backend and weight format. Both undefined for a kernel's file. */
export function partsOf(name: string): { readonly backend?: BackendName; readonly weights?: WeightFormat } {
  const backend = BACKEND_NAMES.find((known) => name === known || name.startsWith(`${known}-`));
  if (backend === undefined || name === backend) return { backend };
  const weights = WEIGHT_FORMATS.find((format) => name === `${backend}-${format}`);
  return weights === undefined ? {} : { backend, weights };
}
