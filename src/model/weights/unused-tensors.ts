/** Where the language model is in a checkpoint. */
export interface Trunk {
  /** The path of embedding, layers and final norm; '' where they are at the top. */
  readonly path: string;
  /** The path of the head. */
  readonly head: string;
  /** The name under which the layers have their numbers. */
  readonly layers: string;
  readonly nLayers: number;
}

/** Factors of a cache in 8 bits, which is f32 here. */
const CACHE_SCALE = /\.self_attn\.(?:[qkv]_scale|prob_output_scale|(?:attn\.)?(?:kv|k_proj\.k|v_proj\.v|k|v)_scale)$/;

/** Parts beside the layers in some files: heads for other tasks, encoders of images and sound. */
const OTHER_PART =
  /^(?:score|classifier|qa_outputs|[a-z]*_?head|v_head|mtp\w*|visual|vision\w*|audio\w*|image\w*|speech\w*|multi_?modal\w*|\w*projector|connector)\./;

/**
 * Tells apart the tensors that were not asked for. Those in a layer that is computed, or elsewhere within the model, would
 * change its result: they are unknown. Layers after the last and tensors outside of the model would not: they are noted.
 */
export function sortUnused(
  names: readonly string[],
  trunk: Trunk | undefined,
): { readonly unknown: readonly string[]; readonly notes: readonly string[] } {
  if (trunk === undefined) return { unknown: names, notes: [] };
  const { path, head, layers, nLayers } = trunk;
  const unknown: string[] = [];
  let furtherLayers = 0;
  const outside = new Map<string, number>();
  let cacheScales = 0;
  for (const name of names) {
    const isInside = path === '' || name.startsWith(`${path}.`);
    const own = isInside && path !== '' ? name.slice(path.length + 1) : name;
    const layer = own.startsWith(`${layers}.`) ? Number(own.slice(layers.length + 1).split('.', 1)[0]) : -1;
    if (isInside && layer >= nLayers) furtherLayers++;
    else if (isInside && CACHE_SCALE.test(name)) cacheScales++;
    else if (!name.startsWith(`${head}.`) && (!isInside || OTHER_PART.test(own)))
      outside.set(partOf(name, path), (outside.get(partOf(name, path)) ?? 0) + 1);
    else unknown.push(name);
  }
  const notes: string[] = [];
  if (furtherLayers > 0)
    notes.push(`${tensors(furtherLayers)} of layers after the first ${nLayers} (num_hidden_layers) not used.`);
  if (outside.size > 0) {
    const parts = [...outside].slice(0, 5).map(([part, n]) => `${short(part)} (${n})`);
    const more = outside.size > 5 ? ', …' : '';
    notes.push(`${tensors(sum(outside))} outside of the language model not used: ${parts.join(', ')}${more}.`);
  }
  if (cacheScales > 0)
    notes.push(`${tensors(cacheScales)} with factors of a quantised cache not used: the cache is f32.`);
  return { unknown, notes };
}

/** The part of a larger model that a tensor belongs to: where its name leaves the path. */
function partOf(name: string, path: string): string {
  const [steps, own] = [path.split('.'), name.split('.')];
  const shared = own.findIndex((step, i) => step !== steps[i]);
  return own.slice(0, Math.max(1, Math.min(shared + 1, own.length - 1))).join('.');
}

const tensors = (n: number): string => (n === 1 ? '1 tensor' : `${n} tensors`);

const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((all, n) => all + n, 0);

/** A name for a message, cut where it is no name that anyone would give. */
export const short = (name: string): string => (name.length > 120 ? `${name.slice(0, 120)}…` : name);
