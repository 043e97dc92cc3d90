import { Command } from 'commander';
import { withProgress, printNotes } from '../load-model.ts';

interface SetupFlags {
  readonly model: boolean;
  readonly json?: boolean;
}

/** `vitrine setup` */
export function setupCommand(signal: AbortSignal): Command {
  return new Command('setup')
    .description('Install native TensorFlow and the default model, unless they are installed already.')
    .option('--no-model', 'native TensorFlow only')
    .option('--json', 'print one JSON object: native, model, problems')
    .addHelpText('after', '\nExample:\n  $ vitrine setup')
    .action((flags: SetupFlags) => setUp(flags, signal));
}

async function setUp({ model, json }: SetupFlags, signal: AbortSignal): Promise<void> {
  const [{ setup }, { SetupError }] = await Promise.all([
    import('../../setup/set-up.ts'),
    import('../../setup/setup-error.ts'),
  ]);
  const result = await withProgress((onProgress) => setup({ model, onProgress, signal }));
  const lines = [`native TensorFlow: ${result.native ?? 'none'}`];
  if (model) lines.push(`default model: ${result.model ?? 'none'}`);
  process.stdout.write(`${json ? JSON.stringify(result, null, 2) : lines.join('\n')}\n`);
  if (result.native === undefined || (model && result.model === undefined))
    throw new SetupError(`the set-up is not complete. ${result.problems.join(' ')}`);
  printNotes(result.problems);
}
