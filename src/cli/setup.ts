import { Command } from 'commander';

export function setupCommand(signal: AbortSignal): Command {
  void signal;
  return new Command('setup');
}
