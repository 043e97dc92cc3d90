import { basename, dirname, join } from 'node:path';
import { type LinkOptions, ModelFolder } from '../files/model-folder.ts';
import { InputFile } from '../files/input-file.ts';
import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';
import { GgufError } from './gguf-error.ts';
import { type GgufHeader, type GgufTensor, MAX_ENTRIES, readGgufHeader } from './gguf-header.ts';
import { Metadata } from './metadata.ts';

/** A tensor and the file that holds it. */
export interface LocatedTensor extends GgufTensor {
  readonly file: InputFile;
}

/** A model in one GGUF file, or in the parts that llama-gguf-split makes of one. */
export interface GgufParts {
  /** The metadata of the first part. */
  readonly metadata: Metadata;
  /** The tensors of all parts, by their names in the files. */
  readonly tensors: ReadonlyMap<string, LocatedTensor>;
  /** The open files of all parts. */
  readonly files: readonly InputFile[];
  /** A line for each link that was followed out of the folder. */
  readonly notes: readonly string[];
}

interface Part {
  readonly file: InputFile;
  readonly header: GgufHeader;
}

/** The name of a part, `NAME-00002-of-00003.gguf`, in groups: NAME, part, count, ending. */
export const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/is;

/** Each part is an open file; the largest published models have fewer than 100. */
const MAX_PARTS = 512;

/**
 * Opens a GGUF file and, where it is a part of a model, the other parts in the same folder. The caller closes the files.
 *
 * @param path Any of the parts.
 * @throws {GgufError} when a file is malformed, a part is missing, or the parts belong to different models
 */
export async function openParts(path: string, links: LinkOptions = {}): Promise<GgufParts> {
  const folder = new ModelFolder(dirname(path), links);
  const opened: InputFile[] = [];
  const partIn = async (file: InputFile): Promise<Part> => {
    opened.push(file);
    return { file, header: await readGgufHeader(file) };
  };
  try {
    const named = await partIn(await InputFile.open(path));
    const count = splitOf(named).count;
    const other = async (name: string): Promise<Part> => partIn(await findPart(folder, name));
    const parts = count > 1 ? await allParts(named, count, other) : [named];
    return {
      metadata: new Metadata(parts[0].file.path, parts[0].header.metadata),
      tensors: tensorsOf(parts),
      files: opened,
      notes: folder.notes,
    };
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

async function allParts(named: Part, count: number, openPart: (name: string) => Promise<Part>): Promise<Part[]> {
  const { path } = named.file;
  const name = PART_NAME.exec(basename(path));
  if (count > MAX_PARTS) throw new GgufError(`${path}: expected at most ${MAX_PARTS} parts, got ${count}.`);
  if (name === null)
    throw new GgufError(
      `${path}: it is part ${splitOf(named).index + 1} of ${count}, and the other parts are found by names such as ` +
        `NAME-00001-of-${digits(count)}.gguf. Restore the names of the parts.`,
    );
  if (Number(name[3]) !== count)
    throw new GgufError(
      `${path}: expected a name that says ${count} parts, as its metadata does, got ${Number(name[3])}. ${REMEDY}`,
    );
  // The spelling of the given part: `-of-` or `-OF-`.
  const ending = basename(path).slice(`${name[1]}-${name[2]}`.length);
  const nameOf = (index: number) => `${name[1]}-${digits(index + 1)}${ending}`;
  const parts: Part[] = [];
  for (let index = 0; index < count; index++) {
    const part = index === Number(name[2]) - 1 ? named : await openPart(nameOf(index));
    checkPart(part, parts[0] ?? part, index);
    parts.push(part);
  }
  const { tensors } = splitOf(parts[0]);
  const found = parts.reduce((sum, { header }) => sum + header.tensors.size, 0);
  if (tensors !== undefined && found !== tensors)
    throw new GgufError(
      `${parts[0].file.path}: expected ${tensors} tensors in its ${count} parts, got ${found}. ${REMEDY}`,
    );
  return parts;
}

async function findPart(folder: ModelFolder, name: string): Promise<InputFile> {
  try {
    return await folder.open(name);
  } catch (error) {
    const { cause } = error as LoadError;
    if ((cause as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT') throw error;
    throw new GgufError(
      `${join(folder.path, name)}: this part of the model is missing. Download it into the folder of the other parts.`,
      {
        cause,
      },
    );
  }
}

/** Checks the metadata of a part against its index, from its name, and against the first part. */
function checkPart(part: Part, first: Part, index: number): void {
  const { path } = part.file;
  const [own, wanted] = [splitOf(part), splitOf(first)];
  if (own.index !== index)
    throw new GgufError(
      `${path}: expected part ${index + 1}, as its name says, got part ${own.index + 1} in its metadata. ${REMEDY}`,
    );
  if (own.count !== wanted.count || own.tensors !== wanted.tensors)
    throw new GgufError(
      `${path}: it belongs to a model of ${own.count} parts with ${own.tensors ?? 'unknown'} tensors, and ${first.file.path} to one of ` +
        `${wanted.count} with ${wanted.tensors ?? 'unknown'}: they are parts of different models. ${REMEDY}`,
    );
  for (const key of ['general.architecture', 'general.name']) {
    const [own, wanted] = [part, first].map(({ header }) => header.metadata.get(key));
    if (own !== undefined && own !== wanted)
      throw new GgufError(
        `${path}: expected the same ${key} as in ${first.file.path}: they are parts of different models. ${REMEDY}`,
      );
  }
}

function splitOf({ file, header }: Part): { index: number; count: number; tensors: number | undefined } {
  const metadata = new Metadata(file.path, header.metadata);
  return {
    index: metadata.get('integer', 'split.no') ?? 0,
    count: metadata.get('integer', 'split.count') ?? 1,
    tensors: metadata.get('integer', 'split.tensors.count'),
  };
}

function tensorsOf(parts: readonly Part[]): Map<string, LocatedTensor> {
  const tensors = new Map<string, LocatedTensor>();
  for (const { file, header } of parts) {
    for (const [name, tensor] of header.tensors) {
      const other = tensors.get(name);
      if (other !== undefined)
        throw new GgufError(`${file.path}: tensor ${quote(name)} is in ${other.file.path} as well. ${REMEDY}`);
      tensors.set(name, { ...tensor, file });
    }
    if (tensors.size > MAX_ENTRIES)
      throw new GgufError(`${file.path}: expected at most ${MAX_ENTRIES} tensors in all parts.`);
  }
  return tensors;
}

const REMEDY = 'Download all parts of one model into one folder.';

const digits = (n: number): string => String(n).padStart(5, '0');
