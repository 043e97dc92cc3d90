import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The user's folder for files that can be downloaded or built again: `VITRINE_CACHE`, else `vitrine` in `XDG_CACHE_HOME`,
 * else `vitrine` in the platform's cache folder.
 */
export function cacheFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (env.VITRINE_CACHE) return env.VITRINE_CACHE;
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, 'vitrine');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'vitrine');
  if (platform === 'win32') return join(env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'vitrine', 'cache');
  return join(homedir(), '.cache', 'vitrine');
}
