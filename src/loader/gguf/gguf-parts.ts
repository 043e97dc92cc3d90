import { basename, dirname, join } from 'node:path';
import { type LinkOptions, ModelFolder } from '../model-folder.ts';
import { InputFile } from '../input-file.ts';
import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';
import { GgufError } from './gguf-error.ts';
import { type GgufHeader, type GgufTensor, MAX_ENTRIES, readGgufHeader } from './gguf-header.ts';
import { Metadata } from './metadata.ts';

/** A tensor and the file that holds it. */
export interface LocatedTensor extends GgufTensor {
  readonly file: InputFile;
}

/** A model in one GGUF file, or in several that llama-gguf-split has made of one. */
export interface GgufParts {
  /** Of the first part. */
  readonly metadata: Metadata;
  /** Of all parts, by the files' own names. */
  readonly tensors: ReadonlyMap<string, LocatedTensor>;
  readonly files: readonly InputFile[];
  /** Of links that led out of the folder, a line each. */
  readonly notes: readonly string[];
}

interface Part {
  readonly file: InputFile;
  readonly header: GgufHeader;
}

/** `NAME-00002-of-00003.gguf` */
export const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/is;

/** Each part is an open file; the largest published models have fewer than 100. */
const MAX_PARTS = 512;

/**
 * Opens a GGUF file and, where it is one of several parts, the others beside it, whichever of them is named. The caller
 * closes the files.
 *
 * @throws GgufError for a malformed file, and for parts that are missing or do not belong together
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
      `${path}: it is part ${splitOf(named).index + 1} of ${count}, and the others are found by a name like ` +
        `NAME-00001-of-${digits(count)}.gguf. Give the parts their names back.`,
    );
  if (Number(name[3]) !== count)
    throw new GgufError(`${path}: it is one of ${count} parts, and its name says ${Number(name[3])}. ${REMEDY}`);
  // As the named part spells it: `-of-` or `-OF-`.
  const behind = basename(path).slice(`${name[1]}-${name[2]}`.length);
  const nameOf = (index: number) => `${name[1]}-${digits(index + 1)}${behind}`;
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
      `${join(folder.path, name)}: this part of the model is missing. Download it to the other parts.`,
      {
        cause,
      },
    );
  }
}

/** What a part says of itself has to fit its name, and what the first one says. */
function checkPart(part: Part, first: Part, index: number): void {
  const { path } = part.file;
  const [own, wanted] = [splitOf(part), splitOf(first)];
  if (own.index !== index)
    throw new GgufError(`${path}: expected part ${index + 1} by its name, and it says ${own.index + 1}. ${REMEDY}`);
  if (own.count !== wanted.count || own.tensors !== wanted.tensors)
    throw new GgufError(
      `${path}: it is of ${own.count} parts with ${own.tensors ?? 'unknown'} tensors, and ${first.file.path} of ` +
        `${wanted.count} with ${wanted.tensors ?? 'unknown'}: they are parts of different models. ${REMEDY}`,
    );
  for (const key of ['general.architecture', 'general.name']) {
    const [mine, theirs] = [part, first].map(({ header }) => header.metadata.get(key));
    if (mine !== undefined && mine !== theirs)
      throw new GgufError(
        `${path}: it has another ${key} than ${first.file.path}: they are parts of different models. ${REMEDY}`,
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
        throw new GgufError(`${file.path}: tensor ${quote(name)} is in ${other.file.path} too. ${REMEDY}`);
      tensors.set(name, { ...tensor, file });
    }
    if (tensors.size > MAX_ENTRIES)
      throw new GgufError(`${file.path}: expected at most ${MAX_ENTRIES} tensors in all parts.`);
  }
  return tensors;
}

const REMEDY = 'Download the parts of one model into a folder of their own.';

const digits = (n: number): string => String(n).padStart(5, '0');
