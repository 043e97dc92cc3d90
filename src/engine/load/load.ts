import type { ModelFiles } from '../../loader/model-files.ts';
import { openModel, type OpenOptions } from '../../loader/open/open-model.ts';
import { checkArgument, checkOptions, PATH } from '../../options.ts';
import { createBackend } from '../../tensor/backends.ts';
import { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { Model } from '../model.ts';
import { type LoadedNetwork, loadNetwork } from './load-network.ts';
import { LOAD_CHECKS, type LoadOptions } from './load-options.ts';

/**
 * Loads a model.
 *
 * @param source A folder in the Hugging Face layout, a GGUF file (any part of several) or its folder, or a hub id `org/name`, which is downloaded into the
 *   Hugging Face cache first.
 * @throws {VitrineError} with what was expected, what came, which file, and what to do. Its kinds: LoadError (also where the
 *   model does not fit into memory), HubError, ConfigError, CheckpointError, TokenizerError, AddonError.
 */
export async function load(source: string, options: LoadOptions = {}): Promise<Model> {
  checkOptions('load', options, LOAD_CHECKS);
  checkArgument('load', 'source', source, PATH);
  const { backend: name, threads, revision, allowLinks, verify, ...weights } = options;
  const { onProgress, signal } = weights;
  const opening = { revision, allowLinks, verify, onProgress, signal } satisfies Record<keyof OpenOptions, unknown>;
  const files = await openModel(source, opening);
  try {
    const backend = createBackend(name, { threads });
    const tokenizer = files.tokenizer && new Tokenizer(files.tokenizer);
    const loaded = await loadNetwork(files, backend, weights);
    return new Model(withNotes(files, loaded, options), backend, loaded, tokenizer);
  } finally {
    await files.checkpoint.close();
  }
}

/** Adds what the weights tell, and where a text may be of another length than the model was made for. */
function withNotes(
  files: ModelFiles,
  { network, maxLength, notes }: LoadedNetwork,
  { context }: LoadOptions,
): ModelFiles {
  const { maxPositions } = network.config;
  const known = [...(files.notes ?? []), ...notes];
  if (maxLength === maxPositions || (context !== undefined && maxLength < maxPositions))
    return { ...files, notes: known };
  const note =
    maxLength < maxPositions
      ? `texts of up to ${maxLength} tokens fit into memory, of ${maxPositions} that the model was made for. ` +
        'context (--context) and maxMemory (--max-memory) change that.'
      : `texts may have up to ${maxLength} tokens (context), and the model was made for ${maxPositions}: what it writes ` +
        'beyond them may be of no use.';
  return { ...files, notes: [...known, note] };
}
