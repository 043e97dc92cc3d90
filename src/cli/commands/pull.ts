import { Command } from 'commander';
import { printNotes, withProgress } from '../load-model.ts';

interface PullFlags {
  readonly revision?: string;
  readonly verify?: boolean;
  readonly json?: boolean;
}

/** `vitrine pull` */
export function pullCommand(signal: AbortSignal): Command {
  return new Command('pull')
    .description('Download a model from the Hugging Face hub into its shared cache, and print the folder.')
    .argument('<model>', 'org/name')
    .option('--revision <name>', 'branch, tag or commit (default: main)')
    .option('--verify', 'hash the files in the cache, and download those again that differ from the published ones')
    .option('--json', 'print one JSON object: model, folder')
    .addHelpText('after', '\nExample:\n  $ vitrine pull HuggingFaceTB/SmolLM2-135M-Instruct')
    .action((model: string, flags: PullFlags) => pull(model, flags, signal));
}

async function pull(model: string, { revision, verify, json }: PullFlags, signal: AbortSignal): Promise<void> {
  const [{ downloadModel }, { describeVerified, verifyFolder }] = await Promise.all([
    import('../../loader/hub/download.ts'),
    import('../../loader/verify/verify-folder.ts'),
  ]);
  const folder = await withProgress((onProgress) => downloadModel(model, { revision, verify, onProgress, signal }));
  if (verify)
    printNotes([describeVerified(await withProgress((onProgress) => verifyFolder(folder, { onProgress, signal })))]);
  process.stdout.write(`${json ? JSON.stringify({ model, folder }, null, 2) : folder}\n`);
}
