import { keep, type Observer, own, scope } from '../tensor/scope.ts';
import { sameShape } from '../tensor/shape.ts';
import { concat, type Tensor } from '../tensor/tensor.ts';
import { type Edit, Editor } from './editor.ts';
import { HookError } from './hook-error.ts';
import type { Hook } from './hook-point.ts';
import { joinParts, jointOf, partOf } from './join.ts';
import { type HookGroup, matchHooks } from './match.ts';

/** Which activations of a pass are kept, and which are changed. */
export interface Hooks {
  /** Names or globs of the activations to be kept. */
  capture?: readonly string[] | undefined;
  /** By name or glob: what to do to these activations. Edits of one activation run in the order of their keys. */
  edit?: Readonly<Record<string, Edit>> | undefined;
}

/** Activations by the names that were asked for. They are the caller's: `dispose()` frees them all. */
export type Activations = Readonly<Record<string, Tensor>>;

/**
 * Captures and edits activations while forward passes run. Captures are copies, of what edits have left. A prompt that is
 * computed in chunks shows itself as one: see `endPart`.
 */
export class Recorder implements Observer {
  /** Its edits alone, if there are any. */
  readonly editor: Editor | undefined;
  readonly #hooks: ReadonlyMap<string, Hook>;
  readonly #groups: readonly HookGroup[];
  readonly #wanted: ReadonlySet<string>;
  /** Parts of each activation, in order. */
  readonly #captured = new Map<string, Tensor[]>();
  /** Rows of the parts that have ended. */
  #rows = 0;

  /**
   * @param hooks Those that the model has.
   * @throws HookError for a name that is not among them, with the nearest ones; and as `Editor` does.
   */
  constructor({ capture = [], edit = {} }: Hooks, hooks: ReadonlyMap<string, Hook>) {
    this.#hooks = hooks;
    this.#groups = capture.flatMap((asked) => matchHooks(asked, [...hooks.keys()]));
    this.#wanted = new Set(this.#groups.flatMap((group) => group.names));
    this.editor = Object.keys(edit).length > 0 ? new Editor(edit, hooks) : undefined;
  }

  wants(name: string): boolean {
    return this.#wanted.has(name) || (this.editor?.wants(name) ?? false);
  }

  visit(name: string, value: Tensor): Tensor | undefined {
    const replaced = this.editor?.visit(name, value);
    if (this.#wanted.has(name)) this.#capture(name, replaced ?? value);
    return replaced;
  }

  #capture(name: string, value: Tensor): void {
    const { point } = this.#hooks.get(name)!;
    const parts = this.#captured.get(name) ?? [];
    const joint = jointOf(point);
    if (joint === 'last') disposeAll(parts.splice(0));
    const keys = joint === 'keys' ? parts.reduce((sum, { shape }) => sum + shape[0], 0) : 0;
    parts.push(scope('', () => own(partOf(point, value, { rows: this.#rows, keys }))));
    this.#captured.set(name, parts);
  }

  /** What was heard was a chunk of so many rows, and what will be heard goes on from there. */
  endPart(rows: number): void {
    this.#rows += rows;
  }

  /** Hands over what was captured since the last call, the layers of a glob stacked along a new first axis. */
  take(): Activations {
    const acts: Record<string, Tensor> = {};
    try {
      for (const { key, names } of this.#groups) {
        const heard = names.filter((name) => this.#captured.has(name));
        if (heard.length > 0) acts[key] ??= this.#joined(key, heard); // A hook may be asked for twice.
      }
      return acts;
    } catch (error) {
      disposeAll(Object.values(acts));
      throw error;
    } finally {
      this.discard();
    }
  }

  #joined(key: string, names: readonly string[]): Tensor {
    return scope('', () => {
      const layers = names.map((name) => {
        const parts = this.#captured.get(name)!;
        if (parts.length > 1) {
          const whole = scope('', () => own(joinParts(parts, this.#hooks.get(name)!.point)));
          disposeAll(parts.splice(0, parts.length, whole));
        }
        return parts[0];
      });
      return keep(key.includes('*') ? stack(key, layers) : layers[0].reshape(layers[0].shape));
    });
  }

  /** Frees what was captured. */
  discard(): void {
    disposeAll([...this.#captured.values()].flat());
    this.#captured.clear();
    this.#rows = 0;
  }
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

function stack(key: string, layers: readonly Tensor[]): Tensor {
  const [{ shape }] = layers;
  if (layers.some((layer) => !sameShape(layer.shape, shape)))
    throw new HookError(
      `capture of ${key}: the layers differ in shape, so they do not stack. Ask for them one by one.`,
    );
  return concat(layers.map((layer) => layer.reshape([1, ...shape])));
}
