import type { Backend, Operand } from '../../tensor/backend.ts';
import { byteSize, elements } from '../../tensor/dtype.ts';
import { scopePath } from '../../tensor/scope.ts';
import { tracedKernels } from '../../tensor/trace.ts';

/** A recorded call of a backend's op. Times are those of `performance.now()`. */
export interface Call {
  /** The method of `Backend`: `matmul`, `linear`; for `binary`, `unary` and `reduce` their first argument: `add`. */
  readonly op: string;
  /** The shape and dtype of the weight that a product reads: `[960, 576] bf16`. Empty for other ops. */
  readonly weight: string;
  /** The path of its scope: `blocks.3.ln1`. */
  readonly path: string;
  /** The kernels that the backend ran for it, in order: `WebAssembly linearBf16`. */
  readonly kernels: readonly string[];
  readonly start: number;
  readonly end: number;
  /** Bytes read: weights, cache and activations. */
  readonly bytes: number;
}

type Method = (...args: unknown[]) => unknown;

/** Methods whose first argument names the op. */
const NAMED_BY_ARGUMENT = ['binary', 'unary', 'reduce'];

/** Methods that are not part of a pass: a query, and the memory of weights while they are loaded. */
const UNRECORDED = ['liveHandles', 'allocate', 'discard'];

/**
 * Records the calls of a backend. Load a model on `backend`, a proxy that passes every call on to the original. The engine has no
 * code for this, so without a recorder it costs nothing.
 */
export class CallRecorder {
  /** The proxy to load a model on. */
  readonly backend: Backend;
  #calls: Call[] | undefined;

  constructor(backend: Backend) {
    const fused = this.#proxyOf(backend.fused);
    this.backend = this.#proxyOf(backend, { fused });
  }

  /** Runs `body` and gives the calls that it made, in order. */
  async record(body: () => Promise<unknown>): Promise<Call[]> {
    const calls: Call[] = [];
    this.#calls = calls;
    try {
      await body();
      return calls;
    } finally {
      this.#calls = undefined;
    }
  }

  /** A proxy of `target` with wrapped methods, and some properties replaced. */
  #proxyOf<T extends object>(target: T, replaced: Partial<T> = {}): T {
    const wrapped = new Map<string | symbol, unknown>(Object.entries(replaced));
    return new Proxy(target, {
      get: (_, name) => {
        if (wrapped.has(name)) return wrapped.get(name);
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as Method;
        const recorded = UNRECORDED.includes(String(name)) ? method : this.#wrapped(String(name), method);
        wrapped.set(name, recorded);
        return recorded;
      },
    });
  }

  #wrapped(name: string, method: Method): Method {
    return (...args) => {
      const calls = this.#calls;
      if (calls === undefined) return method(...args);
      const path = scopePath();
      let result: unknown;
      const start = performance.now();
      const kernels = tracedKernels(() => {
        result = method(...args);
      });
      const end = performance.now();
      // A fused kernel that declines returns undefined: the primitive ops that follow are recorded instead.
      if (result === undefined && !RETURNS_NOTHING.includes(name)) return result;
      const op = NAMED_BY_ARGUMENT.includes(name) ? String(args[0]) : name;
      calls.push({ op, weight: weightOf(name, args), path, kernels, start, end, bytes: bytesRead(name, args) });
      return result;
    };
  }
}

/** Ops without a result. */
const RETURNS_NOTHING = ['free', 'writeVariable', 'freeVariable'];

function weightOf(name: string, args: readonly unknown[]): string {
  const [, weight] = args;
  if ((name !== 'linear' && name !== 'matmul') || !isOperand(weight) || weight.shape.length !== 2) return '';
  return `[${weight.shape.join(', ')}] ${weight.dtype}`;
}

function bytesRead(name: string, args: readonly unknown[]): number {
  if (name === 'free' || name === 'reshape' || name === 'readVariable') return 0;
  if (name === 'upload') return (args[0] as Uint8Array).length;
  const operands = args.flat(1).filter(isOperand);
  if (name === 'gather') {
    const [table, indices] = operands;
    const rows = elements(indices.shape) / table.shape[args[2] as number];
    return elements(table.shape) * byteSize(table.dtype) * rows + bytesOf(indices);
  }
  if (name === 'slice') return elements(args[2] as readonly number[]) * byteSize(operands[0].dtype);
  return operands.reduce((sum, operand) => sum + bytesOf(operand), 0);
}

const bytesOf = ({ shape, dtype }: Operand): number => elements(shape) * byteSize(dtype);

const isOperand = (value: unknown): value is Operand =>
  typeof value === 'object' && value !== null && 'handle' in value && 'shape' in value && 'dtype' in value;
