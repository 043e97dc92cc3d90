import { join } from 'node:path';
import { cacheFolder } from '../platform/cache-folder.ts';

/** The model that is used where none is named: 135 million parameters, Apache-2.0. */
export const DEFAULT_MODEL = 'HuggingFaceTB/SmolLM2-135M-Instruct';

/** A version of the folder, which changes when `convert` begins to write other files. */
const LAYOUT = 'v1';

/** The path of the default model: a link to a snapshot of the hub or to {@link convertedModelFolder}, once it was fetched. */
export const defaultModelFolder = (cache: string = cacheFolder()): string => join(cache, 'models', LAYOUT, 'default');

/** The path of the copy from the Python package: the weights of a Q4_1 file, converted to bf16 safetensors. */
export const convertedModelFolder = (cache: string = cacheFolder()): string =>
  join(cache, 'models', LAYOUT, 'SmolLM2-135M-Instruct-Q4_1');
