import { nearest } from '../nearest.ts';
import { HookError } from './hook-error.ts';

/** The hooks that a name or glob stands for: one hook, or the same hook of several layers. */
export interface HookGroup {
  /** The name with `*` where the matches differ in their layer. */
  readonly key: string;
  readonly names: readonly string[];
}

/**
 * Resolves a name or glob (`*` stands for anything up to the next dot): `blocks.*.hook_resid_post` is one group over the
 * layers, `blocks.5.attn.*` one group for each hook.
 *
 * @throws {HookError} that gives the nearest names, when nothing matches.
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
  if (groups.size === 0)
    throw new HookError(`This model has no hook "${asked}". Nearest: ${nearest(asked, names).join(', ')}.`);
  const found = [...groups].map(([key, members]) => ({ key, names: members }));
  return found.length === 1 ? [{ ...found[0], key: asked }] : found;
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
