import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import type { BatchSequence } from '../engine/run/run-options.ts';
import type { KvCache } from '../model/cache/kv-cache.ts';
import { nextTurn } from '../platform/event-loop.ts';
import { scope } from '../tensor/scope.ts';
import { concat, type Tensor } from '../tensor/tensor.ts';
import { measured, type Metric } from './metric.ts';
import { pairOf, withHead } from './prompt-pair.ts';

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
 * activation replaced by the clean prompt's. Only what a patch changes is computed: a run starts at the patched layer, and at
 * the patched position, with keys and values of the tokens before from the corrupt run; before the first token in which the
 * prompts differ, no patch changes anything; the runs of many layers are one pass, which each enters
 * at its layer. Products are
 * in f32.
 *
 * @throws {VitrineError} for prompts of different lengths, and for models that {@link Model.run} refuses to start at a position:
 *   those with a sliding window that is shorter than the prompt.
 * @throws {Error} the signal's reason.
 */
export async function patchingSweep(model: Model, options: PatchingOptions): Promise<PatchingGrid> {
  const { hook, metric, onProgress, signal } = options;
  const { cleanTokens, tokens, begin } = pairOf(model, 'patchingSweep', options);
  const { nLayers: L, nHeads: H } = model.config;
  const T = tokens.length;
  const byHead = (BY_HEAD as readonly string[]).includes(hook);
  const columns = byHead ? H : T;
  using cache = model.newCache();
  using base = model.run(tokens, { cache, capture: ['blocks.*.hook_resid_pre'], rows: 'last' });
  using source = model.run(cleanTokens, { capture: [`blocks.*.${hook}`], rows: 'last' });
  const [clean, corrupt] = [measured(metric, source.logits), measured(metric, base.logits)];
  const values = new Float32Array(L * columns).fill(corrupt);
  const sizes = byHead ? Array.from({ length: H }, () => T - begin) : tokens.slice(begin).map((_, i) => T - begin - i);
  const rowsPerLayer = sizes.reduce((sum, size) => sum + size, 0);
  const together = Math.max(1, Math.floor(MOST_ROWS / Math.max(1, rowsPerLayer)));
  for (let first = 0; first < L && rowsPerLayer > 0; first += together) {
    const layers = Array.from({ length: Math.min(together, L - first) }, (_, i) => first + i);
    scope('', () => {
      const patches = layers.flatMap((layer) => {
        const stream = base.acts['blocks.*.hook_resid_pre'].at(layer); // [T, D]
        const place = { layer, hook, tokens, cache, begin, stream, clean: source.acts[`blocks.*.${hook}`].at(layer) };
        return byHead ? headPatches(place) : positionPatches(place);
      });
      const runs = model.runBatch(
        patches.map(({ sequence }) => sequence),
        { rows: 'last' },
      );
      for (const [i, run] of runs.entries()) {
        const { layer, column } = patches[i];
        values[layer * columns + column] = measured(metric, run.logits);
        run.dispose();
      }
    });
    onProgress?.(first + layers.length, L);
    await nextTurn();
    signal?.throwIfAborted();
  }
  return { values, shape: [L, columns], columns: byHead ? 'head' : 'position', clean, corrupt };
}

/** A place of the grid, and the run in which it is patched. */
interface Patch {
  readonly layer: number;
  readonly column: number;
  readonly sequence: BatchSequence;
}

/** A layer of the sweep. */
interface Place {
  readonly layer: number;
  readonly hook: PatchedHook;
  readonly tokens: readonly number[];
  /** The cache of the corrupt run. */
  readonly cache: KvCache;
  /** The first token in which the prompts differ: before it, a patch changes nothing. */
  readonly begin: number;
  /** `[T, D]`: the corrupt run's residual stream before the layer. */
  readonly stream: Tensor;
  /** `[T, ...]`: the clean run's value of the hook. */
  readonly clean: Tensor;
}

/** A run for each position, of the tokens from there on. */
function positionPatches({ layer, hook, tokens, cache, begin, stream, clean }: Place): Patch[] {
  return tokens.slice(begin).map((_, i) => {
    const position = begin + i;
    const patch = clean.slice([position, 0], [1, -1]); // [1, D]
    const isStream = hook === 'hook_resid_pre';
    const rest = (from: number): Tensor[] => (from < tokens.length ? [stream.slice([from, 0], [-1, -1])] : []);
    const residual = concat(isStream ? [patch, ...rest(position + 1)] : rest(position)); // [T - position, D]
    const edit = {
      [`blocks.${layer}.${hook}`]: (value: Tensor) =>
        value.shape[0] === 1 ? patch : concat([patch, value.slice([1, 0], [-1, -1])]),
    };
    const sequence = { prompt: tokens, from: { layer, residual, cache }, ...(isStream ? {} : { edit }) };
    return { layer, column: position, sequence };
  });
}

/** A run for each head, of all tokens in which the prompts may differ. */
function headPatches({ layer, hook, tokens, cache, begin, stream, clean }: Place): Patch[] {
  const [, H] = clean.shape;
  const residual = stream.slice([begin, 0], [-1, -1]); // [T - begin, D]
  const source = clean.slice([begin, 0, 0], [-1, -1, -1]).data(); // [T - begin, H, d]
  return Array.from({ length: H }, (_, head) => ({
    layer,
    column: head,
    sequence: {
      prompt: tokens,
      from: { layer, residual, cache },
      edit: { [`blocks.${layer}.${hook}`]: (value: Tensor) => withHead(value, source, head) },
    },
  }));
}
