import { Command } from 'commander';

export function infoCommand(signal: AbortSignal): Command {
  void signal;
  return new Command('info');
}
