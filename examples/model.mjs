import { ensureDefaultModel } from '../dist/setup/set-up.js';

/**
 * The model of the examples: the argument on the command line, else the default model. Like the argument of `load`, it is a
 * folder, a .gguf file, or a name on the hub such as 'HuggingFaceTB/SmolLM2-135M-Instruct'.
 */
export const source = process.argv[2] ?? (await ensureDefaultModel()).folder;
