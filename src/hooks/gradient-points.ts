import type { GradientTape } from '../tensor/gradients/gradient-tape.ts';
import type { Observer } from '../tensor/tap.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Activations } from './activations.ts';
import { expectEditable } from './editor.ts';
import { HookError } from './hook-error.ts';
import type { HookRegistry } from './hook-registry.ts';
import { matchHooks } from './match.ts';
import { Recorder } from './recorder.ts';

/**
 * The hooks of a pass at which gradients are taken. Each activation is replaced by the same numbers, as an edit would
 * replace it, so that its gradient is how the value answers to an edit there.
 */
export class GradientPoints implements Observer {
  readonly #asked: readonly string[];
  readonly #hooks: HookRegistry;
  readonly #tape: GradientTape;
  readonly #wanted: ReadonlySet<string>;
  readonly #watched = new Map<string, Tensor>();

  /**
   * @param at Names or globs of the hooks.
   * @param hooks Those of the model.
   * @throws {HookError} for a name that is not among them, and for a hook whose edit could change nothing.
   */
  constructor(at: readonly string[], hooks: HookRegistry, tape: GradientTape) {
    this.#asked = at;
    this.#hooks = hooks;
    this.#tape = tape;
    const names = at.flatMap((asked) => {
      const matched = matchHooks(asked, [...hooks.keys()]).flatMap((group) => group.names);
      for (const name of matched) expectEditable(hooks.get(name)!, asked, 'gradient');
      return matched;
    });
    this.#wanted = new Set(names);
  }

  wants(name: string): boolean {
    return this.#wanted.has(name);
  }

  visit(name: string, value: Tensor): Tensor {
    if (value.dtype !== 'f32')
      throw new HookError(`gradient of ${name}: it holds whole numbers (${value.dtype}), which have no gradient.`);
    const watched = this.#tape.watch(value);
    this.#watched.set(name, watched);
    return watched;
  }

  /** The gradients that the tape has taken, keyed as captures are: the layers of a glob stacked along a new first axis. */
  take(): Activations {
    const recorder = new Recorder(this.#asked, this.#hooks);
    try {
      for (const [name, watched] of this.#watched) recorder.visit(name, this.#tape.gradient(watched));
      return recorder.take();
    } finally {
      recorder.discard();
    }
  }
}
