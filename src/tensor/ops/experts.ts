import { scope } from '../scope.ts';
import { derive, observed, tap } from '../tap.ts';
import { type HookPoint, under } from '../hook-point.ts';
import { concat, Tensor } from '../tensor.ts';
import { linear, linears, type Linear } from './linear.ts';
import { expertIds } from './top-k.ts';

/** One expert: a gated feed-forward layer of inner width F. */
export interface Expert {
  /** `[2F, D]`: the rows of the gate projection, then those of the up projection. */
  readonly gateUp: Linear;
  /** `[D, F]` */
  readonly down: Linear;
}

/** The k experts of each row, and the weights with which their outputs are mixed. */
export interface Routing {
  /** `[T, k]`, i32 */
  readonly ids: Tensor;
  /** `[T, k]` */
  readonly weights: Tensor;
}

/** The inner activation of an expert, `[n, F]`, from its gate and up projections, `[n, F]` each. */
export type GatedActivation = (gate: Tensor, up: Tensor) => Tensor;

/** The hook points of every expert, under `mlp.experts.J`; n rows chose it, perhaps none. */
const EXPERT_HOOKS: readonly HookPoint[] = [
  {
    name: 'hook_token_index',
    axes: 'n',
    meaning: 'the rows that chose it, i32',
    derived: true,
    readOnly: { instead: ['mlp.hook_expert_indices'] },
    holdsRows: true,
  },
  { name: 'hook_pre', axes: 'n f', meaning: 'gate branch' },
  { name: 'hook_pre_linear', axes: 'n f', meaning: 'up branch' },
  { name: 'hook_post', axes: 'n f', meaning: 'what `down` reads' },
  { name: 'hook_out', axes: 'n d', meaning: 'its output, before its weight' },
];

/** The hook points of `experts`, in their order. */
export const expertsHooks = (count: number): HookPoint[] => [
  ...Array.from({ length: count }, (_, expert) => under(`mlp.experts.${expert}`, EXPERT_HOOKS)).flat(),
  { name: 'mlp.hook_expert_out', axes: 'p k d', meaning: 'output of each chosen expert' },
];

/**
 * A mixture of experts (Shazeer et al., 2017): the sum over the k chosen experts of
 * `weight * down(act(gate(x), up(x)))`, `[T, D]` to `[T, D]`, f32. Rows are grouped by expert, and an expert that no row
 * chose is not computed.
 *
 * Taps: for each expert J, `mlp.experts.J.hook_token_index` `[n]`, the rows that chose it, `hook_pre`, `hook_pre_linear`
 * and `hook_post` `[n, F]`, and `hook_out` `[n, D]`, with n = 0 where no row chose it; `mlp.hook_expert_out` `[T, k, D]`.
 *
 * @throws {ShapeError} for an id that is no expert's.
 */
export function experts(x: Tensor, { ids, weights }: Routing, all: readonly Expert[], act: GatedActivation): Tensor {
  return scope('', () => {
    const [T, k] = ids.shape;
    const slots = slotsByExpert(expertIds(ids, all.length)); // slot t * k + j: the j-th choice of row t
    const outputs = [...slots].map(([expert, own]) => {
      const rows = Int32Array.from(own, (slot) => Math.floor(slot / k));
      return scope(`mlp.experts.${expert}`, () => answer(x, rows, all[expert], act)); // [n, D]
    });
    if (observed()) showIdle(x, all, slots);
    const place = new Int32Array(T * k);
    [...slots.values()].flat().forEach((slot, at) => (place[slot] = at));
    const bySlot = concat(outputs).gather(place).reshape([T, k, x.shape[1]]);
    const out = tap('mlp.hook_expert_out', bySlot); //                                  [T, k, D]
    return out.mul(weights.reshape([T, k, 1])).sum(1); //                               [T, D]
  });
}

function answer(x: Tensor, rows: Int32Array, { gateUp, down }: Expert, act: GatedActivation): Tensor {
  derive('hook_token_index', () => Tensor.from(x.backend, rows));
  const own = x.shape[0] === 1 && rows.length === 1 ? x : x.gather(rows); // [n, D]
  const [gate, up] = linears(own, gateUp); //                                           [n, F] twice
  const post = tap('hook_post', act(tap('hook_pre', gate), tap('hook_pre_linear', up))); // [n, F]
  return tap('hook_out', linear(post, down)); //                                        [n, D]
}

/** The slots of each expert that was chosen, experts in ascending order. */
function slotsByExpert(ids: Int32Array): Map<number, number[]> {
  const slots = new Map<number, number[]>();
  for (const expert of [...new Set(ids)].sort((a, b) => a - b)) slots.set(expert, []);
  ids.forEach((expert, slot) => slots.get(expert)!.push(slot));
  return slots;
}

/** Shows observers the experts that no row chose, as activations without rows. */
function showIdle(
  { backend, shape: [, D] }: Tensor,
  all: readonly Expert[],
  chosen: ReadonlyMap<number, unknown>,
): void {
  all.forEach(({ down }, expert) => {
    if (chosen.has(expert)) return;
    const F = down.weight.shape[1];
    scope(`mlp.experts.${expert}`, () => {
      derive('hook_token_index', () => Tensor.from(backend, new Int32Array()));
      for (const hook of ['hook_pre', 'hook_pre_linear', 'hook_post'])
        derive(hook, () => Tensor.from(backend, new Float32Array(), [0, F]));
      derive('hook_out', () => Tensor.from(backend, new Float32Array(), [0, D]));
    });
  });
}
