import type { Observer } from '../tensor/tap.ts';
import { type Edit, Editor } from './editor.ts';
import { Recorder } from './recorder.ts';
import type { HookRegistry } from './hook-registry.ts';

/** Which activations of a pass are captured, and which are edited. */
export interface Hooks {
  /** Names or globs of the activations to be captured. Default: none. */
  capture?: readonly string[] | undefined;
  /** Edits by name or glob of the activation; those of one activation run in the order of their keys. Default: none. */
  edit?: Readonly<Record<string, Edit>> | undefined;
}

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
