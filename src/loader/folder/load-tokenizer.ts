import { ModelFolder } from '../files/model-folder.ts';
import { checkArgument, PATH } from '../../options.ts';
import { readTokenizerFiles, TokenizerError } from '../../tokenizer/tokenizer-files.ts';
import { Tokenizer } from '../../tokenizer/tokenizer.ts';

/**
 * Loads the tokenizer of a model folder.
 * @throws {TokenizerError} when the folder has no tokenizer.json, or a file of the tokenizer is malformed or a link that leads
 *   out of the folder
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  checkArgument('loadTokenizer', 'the folder', folder, PATH);
  const files = await readTokenizerFiles(new ModelFolder(folder));
  if (!files) throw new TokenizerError(`${folder}: no tokenizer.json; download it from where the model came from`);
  return new Tokenizer(files);
}
