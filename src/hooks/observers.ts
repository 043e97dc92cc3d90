import type { Observer } from '../tensor/tap.ts';
import { type Edit, Editor } from './editor.ts';
import type { Checked, NoSuchHook } from './hook-types.ts';
import { Recorder } from './recorder.ts';
import type { HookRegistry } from './hook-registry.ts';

/**
 * Which activations of a pass are captured, and which are edited. Names that are literals are checked by the compiler; those that
 * a program makes when it runs are checked by the call.
 *
 * @template Captured The names and globs of `capture`.
 * @template Edited Those of `edit`.
 */
export interface Hooks<Captured extends string = string, Edited extends string = string> {
  /** Names or globs of the activations to be captured. Default: none. */
  capture?: readonly (Captured & Checked<Captured>)[] | undefined;
  /** Edits by name or glob of the activation; those of one activation run in the order of their keys. Default: none. */
  edit?: ({ readonly [Name in Edited]: Edit & CheckedEdit<Name> } & Readonly<Record<string, Edit>>) | undefined;
}

type CheckedEdit<Name extends string> = Name extends Checked<Name> ? unknown : NoSuchHook<Name>;

/** The observers of passes that `capture` and `edit` ask for. */
export interface Observers {
  readonly editor: Editor | undefined;
  readonly recorder: Recorder;
  /** Both, in the order in which they see an activation: captures show what edits have left. */
  readonly all: readonly Observer[];
}

/**
 * @param hooks Those of the model.
 * @throws {HookError} as `Editor` and `Recorder` do.
 */
export function observersFor({ capture = [], edit = {} }: Hooks, hooks: HookRegistry): Observers {
  const recorder = new Recorder(capture, hooks);
  const editor = Object.keys(edit).length > 0 ? new Editor(edit, hooks) : undefined;
  return { editor, recorder, all: editor ? [editor, recorder] : [recorder] };
}
