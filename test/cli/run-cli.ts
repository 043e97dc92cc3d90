import { Readable } from 'node:stream';
import { vi } from 'vitest';
import { CtrlC } from '../../src/cli/ctrl-c.ts';
import { main } from '../../src/cli/main.ts';

export const MODEL = 'test/fixtures/models/llama_gqa_tied';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: string | Readable;
  /** Called with each piece that is written to stdout. */
  readonly onOutput?: (text: string) => void;
}

/** Runs `vitrine` in this process, as it runs without a terminal. */
export async function runCli(args: readonly string[], { stdin = '', onOutput }: CliOptions = {}): Promise<CliResult> {
  const input = typeof stdin === 'string' ? Readable.from([stdin]) : stdin;
  const written = { stdout: '', stderr: '' };
  const capture = (name: 'stdout' | 'stderr') =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk, ...rest) => {
      written[name] += String(chunk);
      if (name === 'stdout') onOutput?.(String(chunk));
      const done = rest.find((argument) => typeof argument === 'function');
      done?.();
      return true;
    });
  const spies = [
    capture('stdout'),
    capture('stderr'),
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as unknown as typeof process.stdin),
  ];
  const ctrlC = new CtrlC();
  const press = (): void => {
    ctrlC.press();
  };
  process.on('SIGINT', press);
  try {
    return { code: await main(args, ctrlC), ...written };
  } finally {
    process.off('SIGINT', press);
    for (const spy of spies) spy.mockRestore();
  }
}

/** What a script reads: the JSON on stdout of a command that went well. */
export async function runJson(args: readonly string[], options?: CliOptions): Promise<unknown> {
  const { code, stdout, stderr } = await runCli(args, options);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
