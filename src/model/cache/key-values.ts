import { type HookPoint, onlyIn } from '../../tensor/hook-point.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { pick, slotOrder } from '../../tensor/ops/slot-order.ts';
import { tap, watched } from '../../tensor/tap.ts';
import { concat, type Tensor } from '../../tensor/tensor.ts';
import type { Variable } from '../../tensor/variable.ts';
import type { LayerLayout, LayerStore } from './kv-cache.ts';
import type { SlotPlan } from './slots.ts';

/** The hook points of a layer's cache, in the order of the pass. An edit of `kv.hook_k` and its like stays in the cache. */
export function cacheHooks({ latentDim, valueDim, window }: LayerLayout): HookPoint[] {
  const evicted: HookPoint = {
    name: 'kv.hook_evict',
    axes: 'n',
    meaning: 'positions that leave the window, i32',
    only: 'layers with a sliding window',
    derived: true,
    readOnly: { instead: ['attn.hook_attn_scores', 'attn.hook_pattern'] },
  };
  const leaving = window < Infinity ? [evicted] : [];
  if (latentDim !== undefined)
    return [
      ...leaving,
      ...onlyIn('layers that cache latents (latent attention, absorbed)', [
        {
          name: 'kv.hook_latent',
          axes: 't r_kv',
          meaning: 'all latents as attention reads them; an edit stays in the cache',
        },
        { name: 'kv.hook_rope', axes: 't e_r', meaning: 'the rotary part of all keys; an edit stays in the cache' },
      ]),
    ];
  const all = 'as attention reads them; an edit stays in the cache';
  const keys = [
    { name: 'kv.hook_write_k', axes: 'p g e', meaning: 'keys about to be cached' },
    { name: 'kv.hook_k', axes: 't g e', meaning: `all keys ${all}` },
  ];
  const values = [
    { name: 'kv.hook_write_v', axes: 'p g e_v', meaning: 'values about to be cached' },
    { name: 'kv.hook_v', axes: 't g e_v', meaning: `all values ${all}` },
  ];
  return [...leaving, ...onlyIn('layers that cache keys and values', [...keys, ...(valueDim > 0 ? values : [])])];
}

/** What holds between the hook points of a layer's cache: it ends with the new rows, to the bit. */
export function cacheInvariants({ latentDim, valueDim }: LayerLayout): Invariant[] {
  const ends = (all: string, rows: string): Invariant => ({
    formula: `the last rows of ${all} = ${rows}`,
    hooks: [all, rows],
    tolerance: 0,
    sides: (value) => {
      const [stored, fresh] = [value(all), value(rows)];
      const begin = stored.shape.map((size, axis) => (axis === 0 ? size - fresh.shape[0] : 0));
      return [stored.slice(begin, stored.shape.with(0, fresh.shape[0])), fresh];
    },
  });
  if (latentDim !== undefined) return [ends('kv.hook_latent', 'attn.hook_kv_latent')];
  return [ends('kv.hook_k', 'kv.hook_write_k'), ...(valueDim > 0 ? [ends('kv.hook_v', 'kv.hook_write_v')] : [])];
}

/**
 * Stores new rows `[T, K, d]` by the plan and gives all that they attend to, `[K, S, d]`. Without `v` the keys hold the
 * values too, and are given as both.
 *
 * Taps: `kv.hook_write_k`, `kv.hook_write_v` `[T, K, d]`, the rows about to be stored; `kv.hook_k`, `kv.hook_v`
 * `[t, K, d]`, the cache as attention will read it, at absolute positions (0 where evicted). Of latents: `kv.hook_latent`
 * `[t, r]` and `kv.hook_rope` `[t, dr]`. Edits persist in the cache.
 */
export function writeKeyValues(
  store: LayerStore,
  plan: SlotPlan,
  k: Tensor,
  v: Tensor | undefined,
): { keys: Tensor; values: Tensor } {
  const { latentDim } = store.layout;
  if (latentDim !== undefined) {
    const keys = write(store.keys, plan, k, (all) => tapLatents(all, latentDim, plan.positions));
    return { keys, values: keys };
  }
  const show = (name: string) => (all: Tensor) => tapByPosition(name, all, plan.positions);
  const keys = write(store.keys, plan, tap('kv.hook_write_k', k), show('kv.hook_k'));
  if (v === undefined || store.values === undefined) return { keys, values: keys };
  return { keys, values: write(store.values, plan, tap('kv.hook_write_v', v), show('kv.hook_v')) };
}

/** @param show Shows `[K, S, d]` to observers; gives it back, or their replacement. */
function write(store: Variable, plan: SlotPlan, rows: Tensor, show: (all: Tensor) => Tensor): Tensor {
  let fresh = rows.transpose([1, 0, 2]); // [K, T, d]
  if (!plan.besideRing) {
    writeRows(store, plan, fresh);
    const all = store.read(); // [K, S, d]
    const used = show(all);
    if (used !== all) store.write([0, 0, 0], used);
    return used;
  }
  const slots = store.shape[1];
  const all = slots === 0 ? fresh : concat([store.read(), fresh], 1); // [K, S, d]
  const used = show(all);
  if (used !== all && plan.writes.length > 0) {
    const [ring, edited] = used.split([slots, fresh.shape[1]], 1);
    store.write([0, 0, 0], ring);
    fresh = edited;
  }
  writeRows(store, plan, fresh);
  return used;
}

function writeRows(store: Variable, { writes }: SlotPlan, fresh: Tensor): void {
  for (const { from, rows, slot } of writes) {
    const part = rows === fresh.shape[1] ? fresh : fresh.slice([0, from, 0], [-1, rows, -1]);
    store.write([0, slot, 0], part);
  }
}

/** Shows `[K, slots, d]` to observers as `[positions, K, d]`; an edit is put back into the order of the slots. */
function tapByPosition(name: string, bySlot: Tensor, positions: Int32Array): Tensor {
  if (!watched(name)) return bySlot;
  const { slotOf, positionOf } = slotOrder(positions);
  const shown = pick(bySlot, slotOf, 1, 0).transpose([1, 0, 2]); // [t, K, d]
  const used = tap(name, shown);
  return used === shown ? bySlot : pick(used.transpose([1, 0, 2]), positionOf, 1, 0); // [K, S, d]
}

/** Shows observers the latents and rotary parts of `[1, slots, r + dr]`, by position. */
function tapLatents(bySlot: Tensor, r: number, positions: Int32Array): Tensor {
  if (!watched('kv.hook_latent') && !watched('kv.hook_rope')) return bySlot;
  const { slotOf, positionOf } = slotOrder(positions);
  const shown = pick(bySlot, slotOf, 1, 0).reshape([slotOf.length, -1]); // [t, r + dr]
  const [latent, rope] = shown.split([r, shown.shape[1] - r]);
  const used = [tap('kv.hook_latent', latent), tap('kv.hook_rope', rope)];
  if (used[0] === latent && used[1] === rope) return bySlot;
  return pick(concat(used, 1).reshape([1, ...shown.shape]), positionOf, 1, 0); // [1, S, r + dr]
}
