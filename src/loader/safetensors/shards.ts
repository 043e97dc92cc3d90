import { join } from 'node:path';

import { isObject } from '../../json.ts';
import type { ModelFolder } from '../files/model-folder.ts';
import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';
import { readSafetensors, type SafetensorsFile } from './open-safetensors.ts';

/** The name of the file with all weights of a model. */
export const SINGLE_NAME = 'model.safetensors';
/** The name of the index, which says which of several files holds each tensor. */
export const INDEX_NAME = 'model.safetensors.index.json';

/** Twice the largest published index; as an object in memory, an index takes ten times its bytes. */
const MAX_INDEX_BYTES = 32_000_000;
const MAX_SHARDS = 10_000;
/** The largest sum of all shards' headers: twice that of the index. */
const MAX_HEADERS_BYTES = 64_000_000;
const SHARD_NAME = /^[A-Za-z0-9._-]{1,243}\.safetensors$/;

/** The open files of a model, and the file that the index states for each tensor. */
export interface Shards {
  readonly files: readonly SafetensorsFile[];
  readonly fileOf: ReadonlyMap<string, SafetensorsFile>;
}

/**
 * Opens the files that `model.safetensors.index.json` names, and checks that each holds the tensors that the index states.
 * @param present The names of the files in the folder.
 * @throws {LoadError} when a file name could lead out of the folder (before a file of that name is opened), when a shard is
 *   missing, and when a tensor is not in the shard that the index names
 */
export async function openShards(folder: ModelFolder, present: readonly string[]): Promise<Shards> {
  const indexPath = join(folder.path, INDEX_NAME);
  const weightMap = await readWeightMap(folder);
  const names = [...new Set(weightMap.values())].sort();
  const missing = names.filter((name) => !present.includes(name));
  if (missing.length > 0) {
    const some = missing.slice(0, 5).join(', ') + (missing.length > 5 ? ', …' : '');
    throw new LoadError(
      `${indexPath}: expected ${names.length} files of weights, ${missing.length} of them are missing: ${some}. ` +
        'Fetch them as well.',
    );
  }
  const files = new Map<string, SafetensorsFile>();
  try {
    let headerBytes = 0;
    for (const name of names) {
      const file = await readSafetensors(await folder.open(name));
      files.set(name, file);
      headerBytes += file.headerBytes;
      if (headerBytes > MAX_HEADERS_BYTES)
        throw new LoadError(
          `${indexPath}: expected headers of at most ${MAX_HEADERS_BYTES} bytes in all files, got more.`,
        );
    }
    const fileOf = new Map<string, SafetensorsFile>();
    for (const [tensor, name] of weightMap) {
      const file = files.get(name)!;
      if (!file.tensors.has(tensor)) {
        throw new LoadError(
          `${indexPath}: expected tensor ${quote(tensor)} in ${name}, which does not have it. ` +
            'The files belong to different models or versions: fetch the folder again.',
        );
      }
      fileOf.set(tensor, file);
    }
    return { files: [...files.values()], fileOf };
  } catch (error) {
    await Promise.all([...files.values()].map((file) => file.close()));
    throw error;
  }
}

/** The file name of each tensor in `model.safetensors.index.json`. @throws {LoadError} when a name is not that of a plain file */
export async function readWeightMap(folder: ModelFolder): Promise<ReadonlyMap<string, string>> {
  const indexPath = join(folder.path, INDEX_NAME);
  const { weight_map: weightMap } = await folder.readJson(INDEX_NAME, MAX_INDEX_BYTES);
  if (!isObject(weightMap)) {
    throw new LoadError(`${indexPath}: expected weight_map, an object of tensor and file names. Fetch it again.`);
  }
  const entries = new Map<string, string>();
  const shards = new Set<string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !SHARD_NAME.test(shard)) {
      const got = typeof shard === 'string' ? quote(shard) : `a value of type ${typeof shard}`;
      throw new LoadError(
        `${indexPath}: tensor ${quote(tensor)}: expected the plain name of a .safetensors file in the same folder, ` +
          `got ${got}. Do not use this folder unless you know who made it.`,
      );
    }
    entries.set(tensor, shard);
    if (shards.add(shard).size > MAX_SHARDS)
      throw new LoadError(`${indexPath}: expected at most ${MAX_SHARDS} files, got more.`);
  }
  return entries;
}
