import { formatBytes } from '../../format-bytes.ts';
import { LoadError } from '../../loader/load-error.ts';
import type { LayerLayout } from '../../model/cache/kv-cache.ts';
import type { Decoder } from '../../model/parts/decoder.ts';
import type { WeightRequest } from '../../model/weights/weight-request.ts';
import { byteSize, elements } from '../../tensor/dtype.ts';
import { blocksAcross, rowBytes } from '../../tensor/formats/packed-format.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import { mostRows } from '../../tensor/ops/query-blocks.ts';
import { PREFILL_CHUNK } from '../passes.ts';

/** Bytes that a model takes in memory with a text of `context` tokens. */
export interface MemoryNeed {
  readonly context: number;
  readonly weights: number;
  /** Keys and values of the text. */
  readonly cache: number;
  /** At most, while a prompt is read: activations of a chunk, scores of its attention, the copy of a layer's cache that grows. */
  readonly working: number;
  readonly total: number;
}

/** Limits on the memory of a model. */
export interface MemoryLimits {
  /** Bytes that the machine has; Infinity where the model is in the memory of a GPU. */
  readonly available: number;
  /** Bytes for this model; default: a share of what is available. */
  readonly maxMemory?: number | undefined;
  /** Tokens that a text is to have; default: as many as the model was made for, or as fit. */
  readonly context?: number | undefined;
}

/** The memory that a model needs, and that it may take. */
export interface MemoryFit {
  /** With a text of the context that was asked for or, by default, that the model was made for. */
  readonly need: MemoryNeed;
  /** Bytes that the model may take. */
  readonly budget: number;
  /** The most tokens, up to those of `need`, with which it fits; 0 where not even one does. */
  readonly fitting: number;
}

/** The model's share of what is available; the rest is for the process and the machine. */
const SHARE = 0.9;
/** Tokens that have to fit, where no context was asked for. */
const LEAST_CONTEXT = 512;

/** A network whose weights are known, and not read yet. */
export interface PlannedMemory {
  readonly network: Decoder;
  /** Bytes that the weights will take in memory. */
  readonly weightBytes: number;
}

/** @see MemoryNeed */
export function memoryNeed({ network, weightBytes }: PlannedMemory, context: number): MemoryNeed {
  const cache = cacheBytes(network.cacheLayout, context);
  const working = workingBytes(network, context);
  return { context, weights: weightBytes, cache, working, total: weightBytes + cache + working };
}

/** f32 keys and values; a layer with a sliding window keeps no more tokens than the window has. */
export const cacheBytes = (layout: readonly LayerLayout[], tokens: number): number =>
  layout.reduce((sum, layer) => sum + slotBytes(layer) * Math.min(tokens, layer.window), 0);

const slotBytes = ({ nKvHeads, keyDim, valueDim }: LayerLayout): number => nKvHeads * (keyDim + valueDim) * 4;

/** Bytes that a parameter takes in memory, with the factors of its codes. */
export function parameterBytes(parameter: WeightRequest['parameter']): number {
  if (!(parameter instanceof PackedParameter)) return elements(parameter.shape) * byteSize(parameter.dtype);
  const { format, columns, blockRow } = parameter.layout;
  const blocksDown = blockRow.reduce((most, row) => Math.max(most, row + 1), 0);
  const scaleBytes = format.name === 'fp8' ? 4 : 1;
  return blockRow.length * rowBytes(format, columns) + blocksDown * blocksAcross(format, columns) * scaleBytes;
}

/** One layer at a time, f32; what a scope frees at its end counts in full. */
function workingBytes({ config, cacheLayout }: Decoder, context: number): number {
  const { nHeads, headDim, dim, mlpDim, vocabSize, attentionSoftCap, attentionSinks } = config;
  const T = Math.min(context, PREFILL_CHUNK);
  // A cache takes no more slots than its text has tokens.
  const columns = (window: number): number => Math.min(context, window + T);
  const S = cacheLayout.reduce((most, { window }) => Math.max(most, columns(window)), 0);
  // Dots, masked scores and pattern of a block of queries; a bound or a sink takes more copies.
  const copies = 3 + (attentionSoftCap === undefined ? 0 : 3) + (attentionSinks ? 2 : 0);
  const attention = copies * nHeads * Math.min(T, mostRows(nHeads, S)) * S + 2 * T * S;
  const rows = T * (8 * dim + 6 * nHeads * headDim + 4 * mlpDim);
  const stores = cacheLayout.map((layer) => Math.min(context, layer.window) * slotBytes(layer));
  return 4 * (Math.max(attention, rows) + rows + 3 * vocabSize) + Math.max(0, ...stores);
}

/** Compares what a model needs with what it may take. */
export function assess(plan: PlannedMemory, { available, maxMemory, context }: MemoryLimits): MemoryFit {
  const budget = maxMemory ?? available * SHARE;
  const { config, maxLength } = plan.network;
  const wanted = Math.min(context ?? config.maxPositions, maxLength);
  return { need: memoryNeed(plan, wanted), budget, fitting: fittingContext(plan, wanted, budget) };
}

/**
 * The tokens that a text can have: as many as were asked for, else as many as the model was made for or, where fewer fit
 * into what it may take, as fit, but not too few to be of use.
 *
 * @param source The model's name, for messages.
 * @param asBf16 What the weights would take if every matrix were bf16.
 * @throws {LoadError} with the figures, and what would fit.
 */
export function admit(
  source: string,
  plan: PlannedMemory,
  limits: MemoryLimits,
  asBf16: () => number = () => plan.weightBytes,
): number {
  const fit = assess(plan, limits);
  const wanted = fit.need.context;
  if (fit.fitting === wanted) return wanted;
  const least = limits.context === undefined ? Math.min(wanted, LEAST_CONTEXT) : wanted;
  if (fit.fitting >= least) return fit.fitting;
  throw new LoadError(refusal(source, { ...limits, ...fit, need: memoryNeed(plan, least), bf16Weights: asBf16() }));
}

/** The most tokens up to `most` whose need is within the budget; 0 for none. */
function fittingContext(plan: PlannedMemory, most: number, budget: number): number {
  const fits = (context: number): boolean => memoryNeed(plan, context).total <= budget;
  if (fits(most)) return most;
  let [low, high] = [0, most];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

interface Refused extends MemoryLimits, MemoryFit {
  readonly bf16Weights: number;
}

function refusal(source: string, refused: Refused): string {
  const { need, fitting, budget, bf16Weights, available, maxMemory, context } = refused;
  const limit =
    maxMemory === undefined
      ? `${formatBytes(budget)} may be taken of the ${formatBytes(available)} that are available`
      : `maxMemory allows ${formatBytes(maxMemory)}`;
  const remedies: string[] = [];
  if (fitting >= Math.min(context ?? 0, LEAST_CONTEXT) && fitting > 0)
    remedies.push(`a context of up to ${fitting} tokens (--context ${fitting})`);
  const narrower = need.total - need.weights + bf16Weights;
  if (bf16Weights < need.weights && narrower <= budget)
    remedies.push(`weights: 'bf16' (--weights bf16), which needs ${formatBytes(narrower)}`);
  if (maxMemory === undefined ? need.total <= available : need.total <= available * SHARE)
    remedies.push(`maxMemory (--max-memory) of at least ${formatBytes(need.total)}`);
  const advice =
    remedies.length === 0 ? 'Take a smaller model, or a machine with more memory.' : `Try ${remedies.join(', or ')}.`;
  return `${source}: expected to fit into memory, but ${describeNeed(need)}, and ${limit}. ${advice}`;
}

/** `13.8 GB weights, 0.2 GB cache and 0.9 GB working memory for 4096 tokens make 14.9 GB` */
export const describeNeed = ({ weights, cache, working, context, total }: MemoryNeed): string =>
  `${formatBytes(weights)} weights, ${formatBytes(cache)} cache and ${formatBytes(working)} working memory ` +
  `for ${context} tokens make ${formatBytes(total)}`;
