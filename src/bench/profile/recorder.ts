import type { Backend, Operand } from '../../tensor/backend.ts';
import { byteSize, elements } from '../../tensor/dtype.ts';
import { scopePath } from '../../tensor/scope.ts';
import { tracedKernels } from '../../tensor/trace.ts';

/** A call of a backend's op. Times are those of `performance.now()`. */
export interface Call {
  /** The op's name in the contract: `matmul`, `softmax`, `linear`; `add` and its kin by their own. */
  readonly op: string;
  /** The weight that a product reads, by shape and dtype: `[960, 576] bf16`. '' for other ops. */
  readonly weight: string;
  /** The scope that it ran in: `blocks.3.ln1`. */
  readonly path: string;
  /** What the backend ran for it, in order: `WebAssembly linearBf16`. */
  readonly kernels: readonly string[];
  readonly start: number;
  readonly end: number;
  /** Bytes of what it reads: weights, cache and activations. */
  readonly bytes: number;
}

type Method = (...args: unknown[]) => unknown;

/** Ops of the contract that do one of several things, which their first argument names. */
const NAMED_BY_ARGUMENT = ['binary', 'unary', 'reduce'];

/** Answers about the backend, and what happens while a model is loaded: not part of a pass. */
const UNRECORDED = ['liveHandles', 'allocate', 'discard'];

/**
 * A backend whose calls can be listened to. What computes is the backend itself, and `backend` in its place passes every call
 * on to it; a model is loaded on `backend`. Nothing of this is in the engine, so it costs nothing where nobody records.
 */
export class CallRecorder {
  readonly backend: Backend;
  #calls: Call[] | undefined;

  constructor(backend: Backend) {
    const fused = this.#listening(backend.fused);
    this.backend = this.#listening(backend, { fused });
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

  /** `target` with its methods wrapped, and with some properties replaced. */
  #listening<T extends object>(target: T, replaced: Partial<T> = {}): T {
    const wrapped = new Map<string | symbol, unknown>(Object.entries(replaced));
    return new Proxy(target, {
      get: (_, name) => {
        if (wrapped.has(name)) return wrapped.get(name);
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as Method;
        const listened = UNRECORDED.includes(String(name)) ? method : this.#wrapped(String(name), method);
        wrapped.set(name, listened);
        return listened;
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
      // A fused kernel that declines does nothing: the composed ops that follow are calls of their own.
      if (result === undefined && !GIVES_NOTHING.includes(name)) return result;
      const op = NAMED_BY_ARGUMENT.includes(name) ? String(args[0]) : name;
      calls.push({ op, weight: weightOf(name, args), path, kernels, start, end, bytes: bytesRead(name, args) });
      return result;
    };
  }
}

const GIVES_NOTHING = ['free', 'writeVariable', 'freeVariable'];

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
