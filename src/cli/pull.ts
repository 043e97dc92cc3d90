import { Command } from 'commander';

export function pullCommand(signal: AbortSignal): Command {
  void signal;
  return new Command('pull');
}
