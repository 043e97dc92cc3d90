import { type Command, Option } from 'commander';
import type { Model } from '../engine/model.ts';
import { UsageError } from './failure.ts';

/** The flags about a model's reasoning. */
export interface ReasoningFlags {
  /** Default `show`. */
  readonly reasoning?: 'show' | 'hide';
  readonly effort?: 'low' | 'medium' | 'high';
  readonly thinking?: 'on' | 'off';
}

/** Adds the flags of {@link ReasoningFlags} to a command. */
export function addReasoningOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--reasoning <what>', 'show or hide the reasoning before the answer (default: show)').choices([
        'show',
        'hide',
      ]),
    )
    .addOption(
      new Option('--effort <level>', 'how much to reason, if the chat template supports it')
        .choices(['low', 'medium', 'high'])
        .conflicts('raw'),
    )
    .addOption(
      new Option('--thinking <state>', 'whether to reason at all, if the chat template supports it')
        .choices(['on', 'off'])
        .conflicts('raw'),
    );
}

/**
 * The variables that pass the flags to the model's chat template.
 *
 * @throws {UsageError} when the template does not read the variable of a flag
 */
export function reasoningVariables(
  { tokenizer, files }: Model,
  { effort, thinking }: ReasoningFlags,
): Record<string, unknown> {
  const named = (flag: string, names: readonly string[]): string => {
    const name = names.find((candidate) => tokenizer.templateReads(candidate));
    if (name !== undefined) return name;
    throw new UsageError(
      `${flag}: the chat template of ${files.source} does not read ${names.join(' or ')}. Leave ${flag} out.`,
    );
  };
  return {
    ...(effort !== undefined && { [named('--effort', ['reasoning_effort'])]: effort }),
    ...(thinking !== undefined && { [named('--thinking', ['enable_thinking', 'thinking'])]: thinking === 'on' }),
  };
}
