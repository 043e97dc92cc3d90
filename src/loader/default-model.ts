import { join } from 'node:path';
import { cacheFolder } from '../platform/cache-folder.ts';

/** The model that is used where none is named: 135 million parameters, Apache-2.0. */
export const DEFAULT_MODEL = 'HuggingFaceTB/SmolLM2-135M-Instruct';

/** What is changed when `convert` writes other files than before. */
const LAYOUT = 'v1';

/** Where the default model lies, as a link to where it came from. It is there when the path exists. */
export const defaultModelFolder = (cache: string = cacheFolder()): string => join(cache, 'models', LAYOUT, 'default');

/** Where the copy from the Python package lies: the weights of a Q4_1 file, converted to bf16 safetensors. */
export const convertedModelFolder = (cache: string = cacheFolder()): string =>
  join(cache, 'models', LAYOUT, 'SmolLM2-135M-Instruct-Q4_1');
