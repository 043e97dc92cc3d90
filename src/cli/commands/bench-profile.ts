import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { defaultModel } from '../load-model.ts';
import { backendOption, type ModelOptions, positive, threadsOption, weightsOption } from '../flags.ts';

interface ProfileFlags extends Pick<ModelOptions, 'backend' | 'weights' | 'threads'> {
  readonly depth: number;
  readonly prefill?: number;
  readonly repetitions: number;
  readonly json?: string | true;
}

/** `vitrine bench profile`: profiles the passes of a model. */
export function benchProfileCommand(signal: AbortSignal): Command {
  return new Command('profile')
    .description('Show where the time of a token goes: calls, time and bytes by op and by layer.')
    .argument('[model]', 'a folder, a .gguf file, or org/name of the hub (default: SmolLM2-135M-Instruct)')
    .option('--depth <n>', 'tokens in the cache before the one that is decoded', positive, 128)
    .option('--prefill <n>', 'profile a prompt of 1 to 512 tokens too', positive)
    .option('-r, --repetitions <n>', 'passes, of which the faster half counts', positive, 32)
    .addOption(backendOption())
    .addOption(weightsOption())
    .addOption(threadsOption())
    .option('--json [file]', 'write all figures; without a file, to stdout instead of the tables')
    .addHelpText('after', '\nExample:\n  $ vitrine bench profile --depth 1024')
    .action((model: string | undefined, flags: ProfileFlags) => profile(model, flags, signal));
}

async function profile(
  model: string | undefined,
  { json, ...options }: ProfileFlags,
  signal: AbortSignal,
): Promise<void> {
  const [{ profileModel }, { profileTable }] = await Promise.all([
    import('../../bench/profile/profile-model.ts'),
    import('../../bench/profile/profile-table.ts'),
  ]);
  const profile = await profileModel({ source: model ?? (await defaultModel(signal)), ...options, signal });
  const text = `${JSON.stringify(profile, null, 1)}\n`;
  if (typeof json === 'string') await writeFile(json, text);
  process.stdout.write(json === true ? text : profileTable(profile));
}
