import type { Observer } from '../tensor/tap.ts';
import { type Edit, Editor } from './editor.ts';
import type { Checked, NoSuchHook } from './hook-types.ts';
import { Measurer } from './measurer.ts';
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
  /** Names or globs of activations whose statistics are kept, and not they themselves: a few numbers each. Default: none. */
  statistics?: readonly string[] | undefined;
  /** The same, of which only is kept whether they are finite, and their largest magnitude: faster. Default: none. */
  health?: readonly string[] | undefined;
  /**
   * Bytes that the captures of the pass may take; in `generate`, those of each token's pass. A pass that would take more is
   * refused before it runs: see `model.captureCost`. Default: no limit.
   */
  budget?: number | undefined;
}

type CheckedEdit<Name extends string> = Name extends Checked<Name> ? unknown : NoSuchHook<Name>;

/** The observers of passes that `capture` and `edit` ask for. */
export interface Observers {
  readonly editor: Editor | undefined;
  readonly recorder: Recorder;
  readonly measurer: Measurer;
  /** All, in the order in which they see an activation: captures and measures show what edits have left. */
  readonly all: readonly Observer[];
}

/**
 * @param hooks Those of the model.
 * @throws {HookError} as `Editor`, `Recorder` and `Measurer` do.
 */
export function observersFor(
  { capture = [], edit = {}, statistics = [], health = [] }: Hooks,
  hooks: HookRegistry,
): Observers {
  const recorder = new Recorder(capture, hooks);
  const editor = Object.keys(edit).length > 0 ? new Editor(edit, hooks) : undefined;
  const measurer = new Measurer({ statistics, health }, hooks);
  return { editor, recorder, measurer, all: [...(editor ? [editor] : []), recorder, measurer] };
}
