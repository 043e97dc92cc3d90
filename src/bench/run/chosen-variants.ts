import { basename, extname } from 'node:path';
import { VitrineError } from '../../errors.ts';
import { isReference } from '../../tensor/backends.ts';
import type { VariantSpec } from '../cases/case-spec.ts';
import { packedFormat } from '../subject/weight-format.ts';
import type { Case, Suite } from '../suites/suite.ts';
import { type EngineVariant, engineVariants, partsOf, VARIANT_NAMES } from '../variants/engine-variants.ts';
import type { RunOptions } from './run-options.ts';

/**
 * The variants of a case, the baseline first.
 *
 * @throws {VitrineError} when a name is unknown, or nothing is left to measure.
 */
export function chosenVariants(
  suite: Suite,
  one: Case,
  { variants, files = [], baseline }: Pick<RunOptions, 'variants' | 'files' | 'baseline'>,
): VariantSpec[] {
  for (const name of variants ?? [])
    if (!VARIANT_NAMES.includes(name))
      throw new VitrineError(`bench: there is no variant "${name}". Choose ${VARIANT_NAMES.join(', ')}.`);
  const known = engineVariants(suite, one);
  const chosen = known.filter((variant) =>
    variants === undefined
      ? !isReference(variant.backend)
      : variants.some((asked) => means(inCase(asked, known, one), variant)),
  );
  const own = files.map((file) => ({ name: fileName(file, files), file }));
  const all: VariantSpec[] = [...chosen, ...own];
  if (all.length === 0)
    throw new VitrineError('bench: there is nothing to measure. Name variants, or files with kernels.');
  if (baseline === undefined) return all;
  const first =
    own.find(({ name }) => name === baseline) ?? known.find((variant) => means(inCase(baseline, known, one), variant));
  if (first === undefined)
    throw new VitrineError(
      `bench ${suite.name}: --baseline ${baseline} is none of ${[...known, ...own].map(({ name }) => name).join(', ')}.`,
    );
  return [first, ...all.filter(({ name }) => name !== first.name)];
}

/** The name to look for in a case: where a model in codes has a matrix in numbers, its own format replaces the codes' name. */
function inCase(asked: string, known: readonly EngineVariant[], { stored }: Case): string {
  const { backend, weights } = partsOf(asked);
  const hasCodes = weights !== undefined && packedFormat(weights) !== undefined;
  return hasCodes && !known.some(({ name }) => name === asked) ? `${backend}-${stored ?? 'f32'}` : asked;
}

/** Whether a name stands for a variant: by itself, as its backend, or with a format where the op has no matrices. */
const means = (asked: string, { name, backend }: EngineVariant): boolean =>
  asked === name || asked === backend || asked.startsWith(`${name}-`);

/** A file's name without its extension, or the whole path where two names would be the same. */
function fileName(file: string, files: readonly string[]): string {
  const short = (path: string): string => basename(path, extname(path));
  return files.filter((other) => short(other) === short(file)).length > 1 ? file : short(file);
}
