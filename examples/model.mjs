import { ensureDefaultModel } from '../dist/setup/set-up.js';

/**
 * The model that the examples run: the one named on the command line, else the default model. `load` takes the same:
 * a folder, a .gguf file, or a name on the hub such as 'HuggingFaceTB/SmolLM2-135M-Instruct'.
 */
export const source = process.argv[2] ?? (await ensureDefaultModel()).folder;
