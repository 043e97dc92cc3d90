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

export function benchProfileCommand(signal: AbortSignal): Command {
  return new Command('profile')
    .description('Show where the time of a token goes: calls, time and bytes of each op and of each layer.')
    .argument('[model]', 'a folder, a .gguf file, or org/name of the hub (default: SmolLM2-135M-Instruct)')
    .option('--depth <n>', 'tokens before the one that is decoded', positive, 128)
    .option('--prefill <n>', 'profile the pass of a prompt of 1 to 512 tokens too', positive)
    .option('-r, --repetitions <n>', 'tokens, of which the quieter half counts', positive, 32)
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
    import('../../bench/profile/profile.ts'),
    import('../../bench/profile/write.ts'),
  ]);
  const profile = await profileModel({ source: model ?? (await defaultModel(signal)), ...options, signal });
  const text = `${JSON.stringify(profile, null, 1)}\n`;
  if (typeof json === 'string') await writeFile(json, text);
  process.stdout.write(json === true ? text : profileTable(profile));
}
