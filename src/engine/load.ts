import { stat } from 'node:fs/promises';
import type { ModelFiles } from '../loader/checkpoint.ts';
import { openFolder } from '../loader/folder.ts';
import { findGguf } from '../loader/gguf/find.ts';
import { openGguf } from '../loader/gguf/open.ts';
import { describeVerified, verifyFolder } from '../loader/verify.ts';
import { type BackendName, createBackend } from '../tensor/backends.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type LoadedNetwork, loadNetwork, type WeightOptions } from './load-network.ts';
import { Model } from './model.ts';

export interface LoadOptions extends WeightOptions {
  /** Default `auto`: tensorflow where it is installed, else reference. */
  backend?: BackendName | 'auto';
  /** Threads of the backend; default: all cores. TensorFlow takes it once per process. */
  threads?: number | undefined;
  /** Branch, tag or commit of a hub repository. Default `main`. */
  revision?: string | undefined;
  /** Follows links of a model folder that lead out of it, with a note for each. Default false: they are refused. */
  allowLinks?: boolean | undefined;
  /** Hash every file before it is used, and refuse the model where one is not as it was published. Default false. */
  verify?: boolean | undefined;
}

/**
 * Loads a model.
 *
 * @param source A folder in the Hugging Face layout, a GGUF file (any part of several) or its folder, or a hub id `org/name`, which is downloaded into the
 *   Hugging Face cache first.
 * @throws VitrineError (its kinds: LoadError, also where the model does not fit into memory, HubError, ConfigError, CheckpointError, TokenizerError, AddonError) with
 *   what was expected, what came, which file, and what to do.
 */
export async function load(source: string, options: LoadOptions = {}): Promise<Model> {
  const { backend: name, threads, ...weights } = options;
  const files = await openModel(source, options);
  try {
    const backend = createBackend(name, { threads });
    const tokenizer = files.tokenizer && new Tokenizer(files.tokenizer);
    const loaded = await loadNetwork(files, backend, weights);
    return new Model(withNotes(files, loaded, options), backend, loaded, tokenizer);
  } finally {
    await files.checkpoint.close();
  }
}

/** Adds what the weights tell, and where memory, and not the model, bounds a text. */
function withNotes(
  files: ModelFiles,
  { network, maxLength, notes }: LoadedNetwork,
  { context }: LoadOptions,
): ModelFiles {
  const { maxPositions } = network.config;
  const known = [...(files.notes ?? []), ...notes];
  if (context !== undefined || maxLength >= maxPositions) return { ...files, notes: known };
  const note =
    `texts of up to ${maxLength} tokens fit into memory, of ${maxPositions} that the model was made for. ` +
    'context (--context) and maxMemory (--max-memory) change that.';
  return { ...files, notes: [...known, note] };
}

/** Opens what `load` takes, without reading weights. The caller closes the checkpoint. */
export async function openModel(
  source: string,
  options: Pick<LoadOptions, 'revision' | 'allowLinks' | 'verify' | 'onProgress' | 'signal'> = {},
): Promise<ModelFiles> {
  const gguf = await findGguf(source);
  const local = gguf !== undefined || (await stat(source).then(() => true, () => false)); // prettier-ignore
  if (!local && /^[\w.-]+\/[\w.-]+$/.test(source) && !source.startsWith('.')) {
    // Only now: its HTTP client is WebAssembly, which reserves 10 GiB of address space.
    const { openFromHub } = await import('../loader/hub/open.ts');
    return openFromHub(source, options);
  }
  const notes = options.verify ? [describeVerified(await verifyFolder(gguf ?? source, options))] : [];
  const files = await (gguf === undefined ? openFolder(source, options) : openGguf(gguf, options));
  return { ...files, notes: [...(files.notes ?? []), ...notes] };
}
