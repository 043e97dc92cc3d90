import { Command } from 'commander';

export function convertCommand(signal: AbortSignal): Command {
  void signal;
  return new Command('convert');
}
