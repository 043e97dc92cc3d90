import { keep, own, scope } from '../tensor/scope.ts';
import type { Observer } from '../tensor/tap.ts';
import { sameShape } from '../tensor/shape.ts';
import { concat, type Tensor } from '../tensor/tensor.ts';
import { type Activations, activationsOf, Captured, type CapturedGroup } from './activations.ts';
import { HookError } from './hook-error.ts';
import { joinParts, jointOf, partOf } from './join.ts';
import { type HookGroup, matchHooks } from './match.ts';
import type { HookRegistry } from './hook-registry.ts';

/**
 * Copies activations while forward passes run, as edits that act before it have left them. A prompt that is computed in
 * chunks is recorded as one: see `endChunk`.
 */
export class Recorder implements Observer {
  readonly #hooks: HookRegistry;
  readonly #groups: readonly HookGroup[];
  readonly #wanted: ReadonlySet<string>;
  /** The chunks of each activation, in order. */
  readonly #captured = new Map<string, Tensor[]>();
  /** Rows of the chunks that have ended. */
  #rows = 0;

  /**
   * @param capture Names or globs of the activations to be kept.
   * @param hooks Those of the model.
   * @throws {HookError} for a name that is not among them, with the nearest ones.
   */
  constructor(capture: readonly string[], hooks: HookRegistry) {
    this.#hooks = hooks;
    this.#groups = capture.flatMap((asked) => matchHooks(asked, [...hooks.keys()]));
    this.#wanted = new Set(this.#groups.flatMap((group) => group.names));
  }

  wants(name: string): boolean {
    return this.#wanted.has(name);
  }

  visit(name: string, value: Tensor): undefined {
    const hook = this.#hooks.get(name)!;
    const chunks = this.#captured.get(name) ?? [];
    const joint = jointOf(hook);
    if (joint === 'last') disposeAll(chunks.splice(0));
    const keys = joint === 'keys' ? chunks.reduce((sum, { shape }) => sum + shape[0], 0) : 0;
    chunks.push(scope('', () => own(partOf(hook, value, { rows: this.#rows, keys }))));
    this.#captured.set(name, chunks);
  }

  /** The pass that has ended was a chunk of so many rows; the next one continues its text. */
  endChunk(rows: number): void {
    this.#rows += rows;
  }

  /** Hands over what was captured since the last call, the layers of a glob stacked along a new first axis. */
  take(): Activations {
    const groups = new Map<string, CapturedGroup>();
    try {
      for (const { key, names } of this.#groups) {
        const seen = names.filter((name) => this.#captured.has(name));
        if (seen.length === 0 || groups.has(key)) continue; // A hook may be asked for twice.
        const layers = seen.flatMap((name) => this.#hooks.get(name)!.layer ?? []);
        groups.set(key, { value: this.#joined(key, seen), layers });
      }
      return activationsOf(groups);
    } catch (error) {
      disposeAll([...groups.values()].map(({ value }) => value));
      throw error;
    } finally {
      this.discard();
    }
  }

  #joined(key: string, names: readonly string[]): Captured {
    return scope('', () => {
      const layers = names.map((name) => {
        const chunks = this.#captured.get(name)!;
        if (chunks.length > 1) {
          const whole = scope('', () => own(joinParts(chunks, this.#hooks.get(name)!)));
          disposeAll(chunks.splice(0, chunks.length, whole));
        }
        return chunks[0];
      });
      const { axes } = this.#hooks.get(names[0])!;
      return keep(
        key.includes('*') ? new Captured(stack(key, layers), `layer ${axes}`) : new Captured(layers[0], axes),
      );
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
