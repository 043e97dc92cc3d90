import { randomBytes } from 'node:crypto';
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { bytesOf, filesOf } from './models.mjs';
import { tokenizerFiles } from './make-tokenizer.mjs';
import { createFiller } from './fill-weights.mjs';

/** @typedef {import('./models.mjs').SyntheticModel} SyntheticModel */
/**
 * The functions of Vitrine that it calls, from src/ or dist/.
 * @typedef {import('./fill-weights.mjs').Engine & {
 *   writeSafetensors: typeof import('../../src/loader/safetensors/write-safetensors.ts').writeSafetensors,
 *   preTokenizers: ReadonlyMap<string, import('./make-tokenizer.mjs').PreTokenizer> }} Parts
 */

/**
 * Writes a model as a Hugging Face folder. The folder appears when it is complete; after an error or an abort nothing does.
 * A few MB of weights are in memory at a time.
 *
 * @param {SyntheticModel} model
 * @param {string} folder Must not exist.
 * @param {{ seed?: number, period?: number, parts: Parts, signal?: AbortSignal, onProgress?: (progress: { label: string, loaded: number, total: number }) => void }} options
 */
export async function writeModel(model, folder, { seed = 0, period, parts, signal, onProgress }) {
  const out = resolve(folder);
  if (
    await access(out).then(
      () => true,
      () => false,
    )
  )
    throw new Error(`${out} exists. Remove it, or choose another folder.`);
  const temporary = `${out}.${randomBytes(6).toString('hex')}.tmp`;
  await mkdir(dirname(out), { recursive: true });
  await mkdir(temporary);
  try {
    await writeDescription(model, temporary, parts.preTokenizers);
    const total = model.tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    const fill = createFiller(seed, parts, period);
    let loaded = 0;
    const onWritten = (/** @type {number} */ bytes) => {
      signal?.throwIfAborted();
      onProgress?.({ label: 'weights', loaded: (loaded += bytes), total });
    };
    const files = filesOf(model);
    for (const [file, tensors] of files) {
      const entries = tensors.map((tensor) => {
        const { name, dtype, shape } = tensor;
        return /** @type {const} */ ([name, { dtype, shape, data: () => fill(tensor, bytesOf(tensor), onWritten) }]);
      });
      await parts.writeSafetensors(join(temporary, file), entries, { format: 'pt' });
    }
    if (model.shardName !== undefined) await writeIndex(files, total, temporary);
    signal?.throwIfAborted();
    await rename(temporary, out);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** @param {SyntheticModel} model @param {string} folder @param {Parts['preTokenizers']} preTokenizers */
async function writeDescription({ config, generationConfig, tokenizer: shape }, folder, preTokenizers) {
  const pre = preTokenizers.get(shape.preTokenizer);
  if (pre === undefined) throw new Error(`there is no pre-tokenizer ${shape.preTokenizer}`);
  const { vocab_size: size, max_position_embeddings: maxLength } = config;
  const files = tokenizerFiles(shape, Number(size), pre, Number(maxLength));
  const write = (/** @type {string} */ name, /** @type {unknown} */ value) =>
    writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  await write('config.json', config);
  await write('generation_config.json', generationConfig);
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(files.tokenizer));
  await write('tokenizer_config.json', files.config);
}

/** @param {ReturnType<typeof filesOf>} files @param {number} total @param {string} folder */
async function writeIndex(files, total, folder) {
  const weightMap = [...files].flatMap(([file, tensors]) => tensors.map(({ name }) => [name, file]));
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(weightMap) };
  await writeFile(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}
