import { type Command, Option } from 'commander';
import type { Model } from '../engine/model.ts';
import { UsageError } from './failure.ts';

/** What a user may say about a model's reasoning. */
export interface ReasoningFlags {
  readonly reasoning?: 'show' | 'hide';
  readonly effort?: 'low' | 'medium' | 'high';
  readonly thinking?: 'on' | 'off';
}

export function addReasoningOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--reasoning <what>',
        'show what the model thinks before it answers, or hide it (default: show)',
      ).choices(['show', 'hide']),
    )
    .addOption(
      new Option('--effort <level>', 'how much to reason, where the chat template knows it')
        .choices(['low', 'medium', 'high'])
        .conflicts('raw'),
    )
    .addOption(
      new Option('--thinking <state>', 'whether to reason at all, where the chat template knows it')
        .choices(['on', 'off'])
        .conflicts('raw'),
    );
}

/**
 * The variables by which the model's chat template takes what the flags say.
 *
 * @throws UsageError for a flag that the template would pass over.
 */
export function reasoningVariables(
  { tokenizer, files }: Model,
  { effort, thinking }: ReasoningFlags,
): Record<string, unknown> {
  const named = (flag: string, names: readonly string[]): string => {
    const name = names.find((candidate) => tokenizer.templateReads(candidate));
    if (name !== undefined) return name;
    throw new UsageError(`${flag}: the chat template of ${files.source} does not read ${names.join(' or ')}. Leave ${flag} out.`); // prettier-ignore
  };
  return {
    ...(effort !== undefined && { [named('--effort', ['reasoning_effort'])]: effort }),
    ...(thinking !== undefined && { [named('--thinking', ['enable_thinking', 'thinking'])]: thinking === 'on' }),
  };
}
