import { nearest } from '../nearest.ts';
import { HookError } from './hook-error.ts';
import { whyAbsent } from './why-absent.ts';

/** The hooks that a name or glob stands for: one hook, or the same hook of several layers. */
export interface HookGroup {
  /** The hook's name; of several layers, with the glob in the place of the layer. */
  readonly key: string;
  readonly names: readonly string[];
}

/**
 * Resolves a name or glob: `*` stands for anything up to the next dot, `**` for anything. With `*` in the place of the layer, the
 * layers of a hook are one group: `blocks.*.hook_resid_post`. Any other glob gives each hook by itself: `blocks.5.attn.*`, `**`.
 *
 * @throws {HookError} when nothing matches: it says which layers or models have such a hook, and gives the nearest names.
 */
export function matchHooks(asked: string, names: readonly string[]): HookGroup[] {
  const pattern = new RegExp(`^${asked.split('**').map(withinDots).join('.*')}$`);
  const layer = /^blocks\.([^.]*\*[^.]*)\./.exec(asked)?.[1];
  const isOverLayers = layer !== undefined && !layer.includes('**');
  const groups = new Map<string, string[]>();
  for (const name of names) {
    if (!pattern.test(name)) continue;
    const key = isOverLayers ? name.replace(/^blocks\.\d+\./, `blocks.${layer}.`) : name;
    const group = groups.get(key);
    if (group) group.push(name);
    else groups.set(key, [name]);
  }
  if (groups.size === 0) throw unknownHook(asked, names);
  return [...groups].map(([key, members]) => ({ key, names: members }));
}

const withinDots = (glob: string): string => glob.split('*').map(escapeRegExp).join('[^.]*');
const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function unknownHook(asked: string, names: readonly string[]): HookError {
  if (asked.startsWith('sampler.') && !names.some((name) => name.startsWith('sampler.')))
    return new HookError(`"${asked}" is a hook of \`generate\`: a single pass chooses no token.`);
  const reason = whyAbsent(asked, names);
  return new HookError(
    `This model has no hook "${asked}"${reason ? `: ${reason}` : ''}. Nearest: ${nearest(asked, names).join(', ')}.`,
  );
}
