import { HookError } from './hook-error.ts';

/** What a name or glob stands for: one hook, or the same hook of several layers. */
export interface HookGroup {
  /** The name with `*` where the matches differ in their layer. */
  readonly key: string;
  readonly names: readonly string[];
}

/**
 * Resolves a name or glob (`*` stands for anything up to the next dot): `blocks.*.hook_resid_post` is one group over the
 * layers, `blocks.5.attn.*` one group for each hook.
 *
 * @throws HookError that gives the nearest names, when nothing matches.
 */
export function matchHooks(asked: string, names: readonly string[]): HookGroup[] {
  const pattern = new RegExp(`^${asked.split('*').map(escapeRegExp).join('[^.]*')}$`);
  const overLayers = asked.split('.')[1]?.includes('*') ?? false;
  const groups = new Map<string, string[]>();
  for (const name of names) {
    if (!pattern.test(name)) continue;
    const key = overLayers ? name.replace(/^blocks\.\d+\./, 'blocks.*.') : name;
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  if (groups.size === 0 && asked.startsWith('sampler.') && !names.some((name) => name.startsWith('sampler.')))
    throw new HookError(`"${asked}" is a hook of \`generate\`: a single pass chooses no token.`);
  if (groups.size === 0) throw new HookError(`This model has no hook "${asked}". Nearest: ${nearest(asked, names)}.`);
  const found = [...groups].map(([key, members]) => ({ key, names: members }));
  return found.length === 1 ? [{ ...found[0], key: asked }] : found;
}

function nearest(asked: string, names: readonly string[]): string {
  return names
    .map((name) => ({ name, distance: editDistance(asked, name) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name)
    .join(', ');
}

/** How many characters must be put in, taken out or changed (Levenshtein, 1965). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
