import { join } from 'node:path';

import { readJsonFile } from '../json.ts';
import { LoadError, quote } from '../load-error.ts';
import { resolveInFolder } from '../model-folder.ts';
import { openSafetensors, type SafetensorsFile } from './read.ts';
import { isObject } from '../../json.ts';

/** The file that holds the weights of a model in one piece. */
export const SINGLE_NAME = 'model.safetensors';
/** The file that says which file holds which tensor, where there are several. */
export const INDEX_NAME = 'model.safetensors.index.json';

const MAX_INDEX_BYTES = 250_000_000;
const MAX_SHARDS = 10_000;
const SHARD_NAME = /^[A-Za-z0-9._-]+\.safetensors$/;

/**
 * Opens the files that `model.safetensors.index.json` names and holds them against it.
 * @throws LoadError for a file name that could lead out of the folder (before anything of that name is opened), for a
 * shard that is missing, and for a tensor that is not in the shard that the index names.
 */
export async function openShards(folder: string): Promise<SafetensorsFile[]> {
  const indexPath = join(folder, INDEX_NAME);
  const weightMap = await readWeightMap(indexPath, await resolveInFolder(folder, INDEX_NAME));
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const shard of [...new Set(weightMap.values())].sort()) {
      shards.set(shard, await openSafetensors(await resolveInFolder(folder, shard)));
    }
    for (const [tensor, shard] of weightMap) {
      if (shards.get(shard)!.tensors.has(tensor)) continue;
      throw new LoadError(
        `${indexPath}: expected tensor ${quote(tensor)} in ${shard}, which does not hold it. ` +
          'The files belong to different models or versions: fetch the folder again.',
      );
    }
    return [...shards.values()];
  } catch (error) {
    await Promise.all([...shards.values()].map((file) => file.close()));
    throw error;
  }
}

/**
 * The tensors of `model.safetensors.index.json` and the files that hold them, every name of a file checked.
 * @param indexPath - the file's path for messages.
 * @param realPath - where it is read.
 */
export async function readWeightMap(indexPath: string, realPath: string): Promise<ReadonlyMap<string, string>> {
  const { weight_map: weightMap } = await readJsonFile(realPath, MAX_INDEX_BYTES);
  if (!isObject(weightMap)) {
    throw new LoadError(`${indexPath}: expected weight_map, an object of tensor and file names. Fetch it again.`);
  }
  const entries = Object.entries(weightMap).map(([tensor, shard]): [string, string] => {
    if (typeof shard === 'string' && SHARD_NAME.test(shard)) return [tensor, shard];
    throw new LoadError(
      `${indexPath}: tensor ${quote(tensor)}: expected the plain name of a .safetensors file in the same folder, ` +
        `got ${quote(String(shard))}. Do not use this folder unless you know who made it.`,
    );
  });
  const count = new Set(entries.map(([, shard]) => shard)).size;
  if (count > MAX_SHARDS) throw new LoadError(`${indexPath}: expected at most ${MAX_SHARDS} files, got ${count}.`);
  return new Map(entries);
}
