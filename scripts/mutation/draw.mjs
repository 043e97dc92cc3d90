// Which mutants are tried: all that Stryker's instrumenter makes of the source, and a sample of each folder.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInstrumenter } from '@stryker-mutator/instrumenter';

/**
 * @typedef {{ line: number, column: number }} Place from 0
 * @typedef {object} Mutant
 * @property {string} id by which instrumented code knows it
 * @property {string} folder
 * @property {string} file
 * @property {{ start: Place, end: Place }} location
 * @property {string} mutator
 * @property {string} replacement
 */

/** Text is for people: most of it stands in messages, and names of weights and fields are met by every test. */
const EXCLUDED = ['StringLiteral'];

/**
 * Draws mutants and writes the source that holds them to `out`.
 *
 * The sample of a folder are the `count` mutants whose SHA-256 of seed, file, place, kind and replacement are lowest: the
 * same for the same source and seed, whatever order they are found in.
 *
 * @param {string} root
 * @param {string} out
 * @param {{ folders: readonly string[], count: number, seed: string }} options
 * @returns {Promise<{ mutants: Mutant[], totals: Map<string, number> }>}
 */
export async function draw(root, out, { folders, count, seed }) {
  const files = folders.flatMap((folder) => typescriptFiles(root, folder));
  const { mutants: all } = await instrument(root, files, () => true);
  /** @type {Map<string, number>} */
  const totals = new Map();
  const drawn = folders.flatMap((folder) => {
    const own = all.filter((mutant) => mutant.status !== 'Ignored' && mutant.fileName.startsWith(`${folder}/`));
    totals.set(folder, own.length);
    const ranked = own.map((mutant) => ({ mutant, rank: sha256(`${seed} ${keyOf(mutant)}`) }));
    ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
    return ranked.slice(0, count).map(({ mutant }) => mutant);
  });
  // Once more, with only these in the code (and what lies within them): the fewer, the faster it runs.
  const wanted = new Set(drawn.map(keyOf));
  const touched = [...new Set(drawn.map(({ fileName }) => fileName))];
  const placesIn = (file) => drawn.filter(({ fileName }) => fileName === file).map(({ location }) => location);
  const placed = await instrument(root, touched, placesIn);
  for (const { name, content } of placed.files) {
    const path = join(out, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  const mutants = placed.mutants
    .filter((mutant) => wanted.has(keyOf(mutant)))
    .map(({ id, fileName: file, location, mutatorName: mutator, replacement }) => {
      const folder = folders.find((one) => file.startsWith(`${one}/`));
      return { id, folder, file, location, mutator, replacement };
    });
  return { mutants, totals };
}

const keyOf = ({ fileName, location: { start, end }, mutatorName, replacement }) =>
  [fileName, start.line, start.column, end.line, end.column, mutatorName, replacement].join(' ');

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** Mutates what lies within `places(file)`; true for all. */
function instrument(root, files, places) {
  const inputs = files.map((name) => ({ name, mutate: places(name), content: readFileSync(join(root, name), 'utf8') }));
  const options = { excludedMutations: EXCLUDED, ignorers: [], plugins: null, noHeader: false };
  return createInstrumenter(new Injector({ logger: SILENT })).instrument(inputs, options);
}

const nothing = () => {};
const SILENT = { debug: nothing, info: nothing, warn: nothing, isDebugEnabled: () => false };

/** As much of Stryker's injector as its instrumenter needs. */
class Injector {
  #values;

  constructor(values) {
    this.#values = values;
  }

  provideValue(token, value) {
    return new Injector({ ...this.#values, [token]: value });
  }

  injectClass(Class) {
    return new Class(...Class.inject.map((token) => this.#values[token]));
  }
}

const typescriptFiles = (root, folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => `${folder}/${name}`);
