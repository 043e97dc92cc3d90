import { BLOCK_HOOKS, GLOBAL_HOOKS } from './hook-names.ts';
import { genericName } from './hook-registry.ts';

/** What the catalogue has of a hook; `only` and `in` where not every model has it. */
interface Known {
  readonly axes: readonly string[];
  readonly only?: string;
  readonly in?: string;
}

const KNOWN: ReadonlyMap<string, Known> = new Map([
  ...Object.entries<Known>(GLOBAL_HOOKS),
  ...Object.entries<Known>(BLOCK_HOOKS).map(([name, known]): [string, Known] => [`blocks.N.${name}`, known]),
]);

/**
 * Why a model lacks a hook that others, or other layers of its own, have; undefined where no model has it.
 *
 * @param asked A hook's name; the layer may be `*`.
 * @param names Those that the model has.
 */
export function whyAbsent(asked: string, names: readonly string[]): string | undefined {
  const generic = genericName(asked);
  const known = KNOWN.get(generic);
  if (known === undefined) return undefined;
  const having = names.filter((name) => genericName(name) === generic);
  const [layer] = numbersOf(asked);
  const here = ranges(
    'layer',
    having.map((name) => numbersOf(name)[0]),
  );
  const inLayer = having.filter((name) => numbersOf(name)[0] === layer);
  if (inLayer.length > 0)
    return `layer ${layer} has ${ranges(
      'expert',
      inLayer.map((name) => numbersOf(name)[1]),
    )}`;
  if (known.only === undefined) return `it has ${here}`;
  const models = known.in === 'all' ? '' : ` (${known.in})`;
  return `only ${known.only} have it${having.length > 0 ? `, here ${here}` : models}`;
}

/** The layer of a hook, and its expert. */
const numbersOf = (name: string): number[] => [...name.matchAll(/\.(\d+)\./g)].map(([, digits]) => Number(digits));

/** `layers 1 to 3`, `layer 2`, `layers 0, 2 and 4`. */
function ranges(noun: string, numbers: readonly number[]): string {
  const all = [...new Set(numbers)].sort((a, b) => a - b);
  const [first, last] = [all[0], all.at(-1)];
  if (all.length === 1) return `${noun} ${first}`;
  if (last === first + all.length - 1) return `${noun}s ${first} to ${last}`;
  return `${noun}s ${all.slice(0, -1).join(', ')} and ${last}`;
}
