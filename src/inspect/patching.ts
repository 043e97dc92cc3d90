import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import type { BatchSequence } from '../engine/run/run-options.ts';
import { VitrineError } from '../errors.ts';
import type { KvCache } from '../model/cache/kv-cache.ts';
import { nextTurn } from '../platform/event-loop.ts';
import { scope } from '../tensor/scope.ts';
import { concat, type Tensor } from '../tensor/tensor.ts';
import { measured, type Metric } from './metric.ts';

/** Hooks whose value is patched one position at a time. */
const BY_POSITION = ['hook_resid_pre', 'hook_attn_out', 'hook_mlp_out'] as const;
/** Hooks whose value is patched one head at a time, at all positions. */
const BY_HEAD = ['attn.hook_z', 'attn.hook_q'] as const;

/** A hook of a block that a sweep can patch. */
export type PatchedHook = (typeof BY_POSITION)[number] | (typeof BY_HEAD)[number];

/** What a sweep patches, and what it measures. */
export interface PatchingOptions {
  /** The prompt whose activations are put in. */
  readonly clean: Prompt;
  /** The prompt that runs, of as many tokens. */
  readonly corrupt: Prompt;
  readonly hook: PatchedHook;
  /** Reads the effect off the logits. */
  readonly metric: Metric;
  /** Called after each pass, with the layers that are done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Ends the sweep with the signal's reason, between passes. */
  readonly signal?: AbortSignal | undefined;
}

/** The metric for every place that was patched. */
export interface PatchingGrid {
  /** `[layers, positions]` or `[layers, heads]`, row-major. */
  readonly values: Float32Array;
  readonly shape: readonly [layers: number, columns: number];
  /** What a column is. */
  readonly columns: 'position' | 'head';
  /** The metric of the two prompts as they are. */
  readonly clean: number;
  readonly corrupt: number;
}

/** Rows of a pass: enough for matrix products at full speed, few enough to bound memory. */
const MOST_ROWS = 4096;

/**
 * Activation patching (Meng et al., 2022): runs the corrupt prompt once for each layer and position, or head, with one
 * activation replaced by the clean prompt's. Nothing is computed twice: a run starts at the patched layer, and at the patched
 * position, with keys and values of the tokens before from the corrupt run; the runs of many layers are one pass, which each enters
 * at its layer. Products are
 * in f32.
 *
 * @throws {VitrineError} for prompts of different lengths, and for models that {@link Model.run} refuses to start at a position:
 *   those with a sliding window that is shorter than the prompt.
 * @throws {Error} the signal's reason.
 */
export async function patchingSweep(model: Model, options: PatchingOptions): Promise<PatchingGrid> {
  const { clean, corrupt, hook, metric, onProgress, signal } = options;
  const [cleanTokens, tokens] = [clean, corrupt].map((prompt) => model.tokensOf(prompt));
  if (cleanTokens.length !== tokens.length)
    throw new VitrineError(
      `patchingSweep: expected prompts of as many tokens, got ${cleanTokens.length} and ${tokens.length}.`,
    );
  const { nLayers: L, nHeads: H } = model.config;
  const byHead = (BY_HEAD as readonly string[]).includes(hook);
  const columns = byHead ? H : tokens.length;
  using cache = model.newCache();
  using base = model.run(tokens, { cache, capture: ['blocks.*.hook_resid_pre'], rows: 'last' });
  using source = model.run(cleanTokens, { capture: [`blocks.*.${hook}`], rows: 'last' });
  const values = new Float32Array(L * columns);
  const streams = base.acts['blocks.*.hook_resid_pre']; // [L, T, D]
  const cleanValues = source.acts[`blocks.*.${hook}`]; // [L, T, ...]
  const rowsPerLayer = byHead ? H * tokens.length : (tokens.length * (tokens.length + 1)) / 2;
  const together = Math.max(1, Math.floor(MOST_ROWS / rowsPerLayer));
  for (let first = 0; first < L; first += together) {
    const layers = Array.from({ length: Math.min(together, L - first) }, (_, i) => first + i);
    scope('', () => {
      const sequences = layers.flatMap((layer) => {
        const place = { layer, hook, tokens, cache, stream: row(streams, layer), clean: row(cleanValues, layer) };
        return byHead ? headPatches(place) : positionPatches(place);
      });
      const runs = model.runBatch(sequences, { rows: 'last' });
      for (const [i, run] of runs.entries()) {
        values[first * columns + i] = measured(metric, run.logits);
        run.dispose();
      }
    });
    onProgress?.(first + layers.length, L);
    await nextTurn();
    signal?.throwIfAborted();
  }
  return {
    values,
    shape: [L, columns],
    columns: byHead ? 'head' : 'position',
    clean: measured(metric, source.logits),
    corrupt: measured(metric, base.logits),
  };
}

/** A layer of the sweep. */
interface Place {
  readonly layer: number;
  readonly hook: PatchedHook;
  readonly tokens: readonly number[];
  /** Of the corrupt run. */
  readonly cache: KvCache;
  /** `[T, D]`: the corrupt run's residual stream before the layer. */
  readonly stream: Tensor;
  /** `[T, ...]`: the clean run's value of the hook. */
  readonly clean: Tensor;
}

/** A run for each position, of the tokens from there on. */
function positionPatches({ layer, hook, tokens, cache, stream, clean }: Place): BatchSequence[] {
  return tokens.map((_, position) => {
    const patch = clean.slice([position, 0], [1, -1]); // [1, D]
    const isStream = hook === 'hook_resid_pre';
    const rest = (from: number): Tensor[] => (from < tokens.length ? [stream.slice([from, 0], [-1, -1])] : []);
    const residual = concat(isStream ? [patch, ...rest(position + 1)] : rest(position)); // [T - position, D]
    const edit = {
      [`blocks.${layer}.${hook}`]: (value: Tensor) =>
        value.shape[0] === 1 ? patch : concat([patch, value.slice([1, 0], [-1, -1])]),
    };
    return { prompt: tokens, from: { layer, residual, cache }, ...(isStream ? {} : { edit }) };
  });
}

/** A run for each head, of all tokens. */
function headPatches({ layer, hook, tokens, stream, clean }: Place): BatchSequence[] {
  const [T, H, width] = clean.shape;
  const numbers = clean.data();
  return Array.from({ length: H }, (_, head) => ({
    prompt: tokens,
    from: { layer, residual: stream },
    edit: {
      [`blocks.${layer}.${hook}`]: (value: Tensor) => {
        const patched = value.data();
        for (let t = 0; t < T; t++) {
          const at = (t * H + head) * width;
          patched.set(numbers.subarray(at, at + width), at);
        }
        return patched;
      },
    },
  }));
}

/** Row `index` of the first axis, without it. */
const row = (values: Tensor, index: number): Tensor =>
  values
    .slice([index, ...values.shape.slice(1).map(() => 0)], [1, ...values.shape.slice(1)])
    .reshape(values.shape.slice(1));
