import { Command } from 'commander';
import { tellNotes, withProgress } from '../load-model.ts';

interface PullFlags {
  readonly revision?: string;
  readonly verify?: boolean;
  readonly json?: boolean;
}

export function pullCommand(signal: AbortSignal): Command {
  return new Command('pull')
    .description('Download a model from the Hugging Face hub into its shared cache, and print the folder.')
    .argument('<model>', 'org/name')
    .option('--revision <name>', 'branch, tag or commit (default: main)')
    .option('--verify', 'hash what the cache has, and fetch again what is not as published')
    .option('--json', 'print one JSON object: model, folder')
    .addHelpText('after', '\nExample:\n  $ vitrine pull HuggingFaceTB/SmolLM2-135M-Instruct')
    .action((model: string, flags: PullFlags) => pull(model, flags, signal));
}

async function pull(model: string, { revision, verify, json }: PullFlags, signal: AbortSignal): Promise<void> {
  const [{ downloadModel }, { describeVerified, verifyFolder }] = await Promise.all([
    import('../../loader/hub/download.ts'),
    import('../../loader/verify.ts'),
  ]);
  const folder = await withProgress((onProgress) => downloadModel(model, { revision, verify, onProgress, signal }));
  if (verify)
    tellNotes([describeVerified(await withProgress((onProgress) => verifyFolder(folder, { onProgress, signal })))]);
  process.stdout.write(`${json ? JSON.stringify({ model, folder }, null, 2) : folder}\n`);
}
