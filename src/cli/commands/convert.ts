import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { ConvertOptions } from '../../loader/convert/convert-model.ts';
import { printNotes, withProgress } from '../load-model.ts';
import { allowLinksOption } from '../flags.ts';

interface ConvertFlags extends Pick<ConvertOptions, 'dtype'> {
  readonly allowLinks?: boolean;
}

/** `vitrine convert` */
export function convertCommand(signal: AbortSignal): Command {
  return new Command('convert')
    .description('Write a model as a Hugging Face folder: config.json, safetensors, tokenizer.')
    .argument('<source>', 'a .gguf file, a model folder, or org/name of the hub')
    .argument('<out>', 'the folder to write: missing, empty, or an earlier output')
    .addOption(new Option('--dtype <dtype>', 'dtype of every tensor').choices(['bf16', 'f16', 'f32']).default('bf16'))
    .addOption(allowLinksOption())
    .addHelpText('after', '\nExample:\n  $ vitrine convert model-q8_0.gguf model --dtype bf16')
    .action((source: string, out: string, flags: ConvertFlags) => convert(source, out, flags, signal));
}

async function convert(
  source: string,
  out: string,
  { dtype, allowLinks }: ConvertFlags,
  signal: AbortSignal,
): Promise<void> {
  const [{ openModel }, converter] = await Promise.all([
    import('../../loader/open/open-model.ts'),
    import('../../loader/convert/convert-model.ts'),
  ]);
  const files = await withProgress((onProgress) => openModel(source, { allowLinks, onProgress, signal }));
  try {
    printNotes(files.notes);
    await withProgress((onProgress) => converter.convert(files, out, { dtype, onProgress, signal }));
  } finally {
    await files.checkpoint.close();
  }
  process.stdout.write(`${resolve(out)}\n`);
}
