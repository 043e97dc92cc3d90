import { Command } from 'commander';

export function chatCommand(signal: AbortSignal): Command {
  void signal;
  return new Command('chat');
}
