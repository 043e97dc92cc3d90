import { elements } from '../tensor/dtype.ts';
import { keep, type Observer, own, scope } from '../tensor/scope.ts';
import { sameShape, show } from '../tensor/shape.ts';
import { concat, Tensor } from '../tensor/tensor.ts';
import { HookError } from './hook-error.ts';
import { type HookGroup, matchHooks } from './match.ts';

/**
 * Changes an activation: gives back what replaces it (a tensor, or its numbers), or nothing to leave it.
 * Tensors that it makes are freed with the step.
 */
export type Edit = (value: Tensor, name: string) => Tensor | Float32Array | undefined;

export interface Hooks {
  /** Names or globs of the activations to be kept. */
  capture?: readonly string[] | undefined;
  /** By name or glob: what to do to these activations. Edits of one activation run in the order of their keys. */
  edit?: Readonly<Record<string, Edit>> | undefined;
}

/** Activations by the names that were asked for. They are the caller's: `dispose()` frees them all. */
export type Activations = Readonly<Record<string, Tensor>>;

/** Captures and edits activations while a forward pass runs. Captures are copies, of what edits have left. */
export class Recorder implements Observer {
  readonly #groups: readonly HookGroup[];
  readonly #wanted: ReadonlySet<string>;
  readonly #edits: ReadonlyMap<string, readonly Edit[]>;
  readonly #captured = new Map<string, Tensor>();

  /**
   * @param names The hooks that the model has.
   * @throws HookError for a name that is not among them, with the nearest ones.
   */
  constructor({ capture = [], edit = {} }: Hooks, names: readonly string[]) {
    this.#groups = capture.flatMap((asked) => matchHooks(asked, names));
    this.#wanted = new Set(this.#groups.flatMap((group) => group.names));
    const edits = new Map<string, Edit[]>();
    for (const [asked, change] of Object.entries(edit)) {
      for (const name of matchHooks(asked, names).flatMap((group) => group.names))
        edits.set(name, [...(edits.get(name) ?? []), change]);
    }
    this.#edits = edits;
  }

  wants(name: string): boolean {
    return this.#wanted.has(name) || this.#edits.has(name);
  }

  visit(name: string, value: Tensor): Tensor | undefined {
    let used = value;
    for (const change of this.#edits.get(name) ?? []) used = replacement(name, used, change(used, name));
    if (this.#wanted.has(name)) {
      this.#captured.get(name)?.dispose();
      this.#captured.set(
        name,
        scope('', () => own(used.clone())),
      );
    }
    return used === value ? undefined : used;
  }

  /** Hands over what was captured since the last call, the layers of a glob stacked along a new first axis. */
  take(): Activations {
    const acts = this.#groups.flatMap(({ key, names }) => {
      const layers = names.flatMap((name) => this.#captured.get(name) ?? []);
      if (layers.length === 0) return [];
      return [[key, scope('', () => keep(key.includes('*') ? stack(key, layers) : layers[0].clone()))] as const];
    });
    this.discard();
    return Object.fromEntries(acts);
  }

  /** Frees what was captured. */
  discard(): void {
    for (const tensor of this.#captured.values()) tensor.dispose();
    this.#captured.clear();
  }
}

function replacement(name: string, value: Tensor, given: ReturnType<Edit>): Tensor {
  if (given === undefined) return value;
  const shape = given instanceof Tensor ? given.shape : [given.length];
  const fits = given instanceof Tensor ? sameShape(shape, value.shape) : given.length === elements(value.shape);
  if (!fits) throw new HookError(`edit of ${name}: expected ${show(value.shape)} in return, got ${show(shape)}.`);
  return given instanceof Tensor ? given : Tensor.from(value.backend, given, value.shape);
}

function stack(key: string, layers: readonly Tensor[]): Tensor {
  const [{ shape }] = layers;
  if (layers.some((layer) => !sameShape(layer.shape, shape)))
    throw new HookError(
      `capture of ${key}: the layers differ in shape, so they do not stack. Ask for them one by one.`,
    );
  return concat(layers.map((layer) => layer.reshape([1, ...shape])));
}
