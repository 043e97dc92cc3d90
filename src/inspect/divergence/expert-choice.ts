import type { Walk } from './walk.ts';

/** Two experts between which two passes decided differently. */
export interface Choice {
  /** The expert that a chose and the one that b chose in its place. */
  readonly experts: readonly [a: number, b: number];
  /** The scores of the two in pass a. */
  readonly scores: readonly [number, number];
  /** Whether the scores are so close that rounding decides. */
  readonly isTie: boolean;
}

const INDICES = 'mlp.hook_expert_indices';
/** What the choice is made by: the first of these that the model has. */
const SCORES = ['mlp.router.hook_biased_scores', 'mlp.router.hook_scores', 'mlp.router.hook_logits'];

/**
 * The choice behind a different number at `index` of the chosen experts `[p, k]`; undefined at other hooks, and where the scores were
 * not recorded.
 */
export function choiceBetween({ a, b, between }: Walk, hook: string, index: number): Choice | undefined {
  if (!hook.endsWith(INDICES)) return undefined;
  const block = hook.slice(0, -INDICES.length);
  const score = SCORES.map((name) => block + name).find((name) => a.hooks.has(name));
  if (score === undefined) return undefined;
  const scores = a.acts[score];
  const [E, k] = [scores.shape[1], a.acts[hook].shape[1]];
  const row = Math.floor(index / k);
  const values = scores.data().subarray(row * E, (row + 1) * E);
  const chosen = [a, b].map(({ acts }) => acts[hook].integers()[index]);
  const [first, second] = chosen.map((expert) => values[expert]);
  const scale = Math.max(...values.map(Math.abs));
  return {
    experts: [chosen[0], chosen[1]],
    scores: [first, second],
    isTie: Math.abs(first - second) <= 2 * between.allowed * scale,
  };
}
