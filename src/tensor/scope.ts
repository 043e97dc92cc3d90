import { OptionError, show } from '../options.ts';

/** The part of a tensor that ownership needs. */
export interface ScopedTensor {
  readonly backend: unknown;
  /** Whether a cache, a recording, a parameter or the caller owns the tensor, instead of a scope. */
  kept: boolean;
  /** Frees the memory. @param scopePath The scope at whose end this happens. */
  dispose(scopePath?: string): void;
  /** Lets the garbage collector free the memory of a tensor that no scope owns. */
  freeWhenForgotten(): void;
}

/**
 * A scope owns the tensors made inside it and frees them at its end, except those that it returns.
 *
 * The ambient `current` scope is safe because bodies are synchronous: nothing can interleave.
 */
interface Scope {
  readonly path: string;
  readonly tensors: ScopedTensor[];
}

let current: Scope | undefined;

/**
 * Runs `body`, then frees every tensor made in it, and those in `owned`, also when it throws. The tensors that it returns,
 * alone or within arrays and plain objects, are not freed: the enclosing scope owns them, or the caller where there is none.
 *
 * @param name A part of the path that names the taps inside, such as `blocks.3`; '' adds nothing.
 * @throws {TypeError} when `body` is async: tensors live in synchronous code.
 */
export function scope<R>(name: string, body: () => R): R;
export function scope<R>(name: string, owned: readonly ScopedTensor[], body: () => R): R;
export function scope<R>(name: string, ownedOrBody: readonly ScopedTensor[] | (() => R), maybeBody?: () => R): R {
  const [owned, body] = typeof ownedOrBody === 'function' ? [[], ownedOrBody] : [ownedOrBody, maybeBody!];
  if (typeof name !== 'string' || typeof body !== 'function' || !(owned instanceof Array))
    throw new OptionError('scope: expected a name, tensors to be freed with it (or none), and a function.');
  const parent = current;
  const own: Scope = { path: joinPath(parent?.path ?? '', name), tensors: [...owned] };
  current = own;
  const escaping = new Set<ScopedTensor>();
  try {
    const result = body();
    if (result instanceof Promise) {
      result.catch(() => undefined); // It may fail later, on freed tensors; the error below is the one to show.
      throw new TypeError(`scope "${own.path}": the body is async. Tensors live in synchronous code: await outside.`);
    }
    collectTensors(result, escaping);
    return result;
  } finally {
    current = parent;
    for (const tensor of own.tensors) {
      if (escaping.has(tensor)) {
        if (parent !== undefined) parent.tensors.push(tensor);
        else if (!tensor.kept) tensor.freeWhenForgotten();
      } else if (!tensor.kept) tensor.dispose(own.path);
    }
  }
}

/**
 * Takes a tensor out of the ownership of scopes: from now on the caller disposes of it. One that the caller only drops is
 * freed some time after it was garbage collected.
 */
export function keep<T extends ScopedTensor>(tensor: T): T {
  own(tensor).freeWhenForgotten();
  return tensor;
}

/** Like `keep`, for code that is sure to dispose of the tensor: it is not registered with the garbage collector. */
export function own<T extends ScopedTensor>(tensor: T): T {
  if (!isTensor(tensor)) throw new OptionError(`keep: expected a tensor, got ${show(tensor)}.`);
  tensor.kept = true;
  return tensor;
}

/** Gives a kept tensor to the current scope; where there is none, the caller owns it. */
export function release<T extends ScopedTensor>(tensor: T): T {
  if (current === undefined) {
    tensor.freeWhenForgotten();
  } else if (tensor.kept) {
    tensor.kept = false;
    current.tensors.push(tensor);
  }
  return tensor;
}

/** Gives a new tensor, whose constructor calls this, to the current scope; where there is none, the caller owns it. */
export function adopt(tensor: ScopedTensor): void {
  if (current === undefined) tensor.freeWhenForgotten();
  else current.tensors.push(tensor);
}

/** The path of `name` in the current scope, such as `blocks.3.attn.hook_q`; without a name, that of the scope itself. */
export const scopePath = (name = ''): string => joinPath(current?.path ?? '', name);

const joinPath = (path: string, name: string): string => (path && name ? `${path}.${name}` : path || name);

const isTensor = (value: unknown): value is ScopedTensor =>
  typeof value === 'object' && value !== null && 'kept' in value && 'backend' in value;

function collectTensors(value: unknown, into: Set<ScopedTensor>): void {
  if (typeof value !== 'object' || value === null) return;
  if (isTensor(value)) into.add(value);
  else if (Array.isArray(value)) for (const item of value) collectTensors(item, into);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) collectTensors(item, into);
}
