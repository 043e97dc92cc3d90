import { VitrineError } from '../errors.ts';
import { formatBytes } from '../format-bytes.ts';
import { type ModelSizes, type PassSizes, shapeOf } from './axes.ts';
import type { HookRegistry } from './hook-registry.ts';
import { matchHooks } from './match.ts';

/** What captures take, known before the pass. */
export interface CaptureCost {
  /** Bytes of all captures together: exact, but where experts or windows decide on the rows, the most that there can be. */
  readonly bytes: number;
  /** Bytes by the full name of the hook. Those of experts share rows, so that they may add up to more than `bytes`. */
  readonly byHook: Readonly<Record<string, number>>;
}

/** What can be captured: hooks by name, and the sizes of the model. */
export interface Capturable {
  readonly hooks: HookRegistry;
  readonly model: ModelSizes;
}

/** Activations are f32 or i32. */
const BYTES = 4;
const EXPERT = /\.experts\.\d+\./;

/**
 * The bytes that the captures of a pass take. A pass takes more for a moment: a glob over layers is stacked, which holds it
 * twice until its layers are freed.
 *
 * @throws {HookError} for a name that the model does not have.
 */
export function captureCost(capture: readonly string[], { hooks, model }: Capturable, pass: PassSizes): CaptureCost {
  const names = [...hooks.keys()];
  const groups = new Map(capture.flatMap((asked) => matchHooks(asked, names)).map((group) => [group.key, group.names]));
  const byHook: Record<string, number> = {};
  /** For hooks of experts, by what all experts of a layer have in common: bytes of a row, and how many experts. */
  const shared = new Map<string, { rowBytes: number; count: number }>();
  let bytes = 0;
  for (const name of [...groups.values()].flat()) {
    const shape = shapeOf(hooks.get(name)!, model, pass);
    const most = BYTES * shape.reduce<number>((product, size) => product * (size ?? pass.positions), 1);
    byHook[name] = (byHook[name] ?? 0) + most;
    if (EXPERT.test(name) && shape[0] === undefined) {
      const key = name.replace(EXPERT, '.experts.*.');
      shared.set(key, { rowBytes: most / pass.positions, count: (shared.get(key)?.count ?? 0) + 1 });
    } else bytes += most;
  }
  // Each row goes to `perToken` experts of a layer.
  for (const { rowBytes, count } of shared.values())
    bytes += rowBytes * pass.positions * Math.min(count, model.experts?.perToken ?? count);
  return { bytes, byHook };
}

/** The captures would take more memory than the `budget` allows. */
export class BudgetError extends VitrineError {
  override readonly name = 'BudgetError';
}

/** A pass whose captures have to fit into a budget. */
export interface Budgeted extends Capturable {
  /** The public call, for messages. */
  readonly call: string;
  /** Bytes; undefined for no limit. */
  readonly budget: number | undefined;
  readonly capture: readonly string[];
}

/**
 * Holds the captures of a pass, over one sequence or several, to the budget, before it runs.
 *
 * @throws {BudgetError} that says what they would take, which take the most, and how many tokens would fit.
 */
export function expectWithinBudget(budgeted: Budgeted, passes: readonly PassSizes[]): void {
  const { call, budget, capture } = budgeted;
  if (budget === undefined || capture.length === 0) return;
  const costs = passes.map((pass) => captureCost(capture, budgeted, pass));
  const bytes = costs.reduce((sum, cost) => sum + cost.bytes, 0);
  if (bytes <= budget) return;
  const largest = Object.entries(costs[0].byHook)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, size]) => `${name} ${formatBytes(size)}`);
  throw new BudgetError(
    `${call}: the captures would take ${formatBytes(bytes)}, and the budget is ${formatBytes(budget)}. ` +
      `The largest: ${largest.join(', ')}. ${passes.length === 1 ? fittingWords(budgeted, passes[0]) : ''}` +
      'Capture fewer hooks, measure them instead (statistics, health), or raise the budget.',
  );
}

/** How many of the new tokens would fit. */
function fittingWords(budgeted: Budgeted, pass: PassSizes): string {
  const { positions, keys = positions, logitRows = positions } = pass;
  const bytesOf = (count: number): number => {
    const fewer = { positions: count, keys: keys - positions + count, logitRows: Math.min(logitRows, count) };
    return captureCost(budgeted.capture, budgeted, fewer).bytes;
  };
  let [fits, tooMany] = [0, positions];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (bytesOf(middle) <= budgeted.budget!) fits = middle;
    else tooMany = middle;
  }
  return positions === 1 ? '' : `${fits} of the ${positions} tokens would fit. `;
}
