import { availableMemory } from '../../platform/available-memory.ts';
import { endIds } from '../../engine/generate/end-of-text.ts';
import { openModel } from '../../loader/open/open-model.ts';
import { planNetwork } from '../../engine/load/plan-network.ts';
import type { WeightOptions } from '../../engine/load/load-options.ts';
import { assess, cacheBytes, type MemoryFit } from '../../engine/load/memory-plan.ts';
import type { ModelFiles } from '../../loader/model-files.ts';
import type { DecoderConfig } from '../../model/config/decoder-config.ts';
import { elements } from '../../tensor/dtype.ts';
import { Tokenizer } from '../../tokenizer/tokenizer.ts';

/** The properties of a model that can be known without reading its weights. */
export interface ModelInfo {
  readonly source: string;
  readonly config: DecoderConfig;
  /** The number of parameters; a matrix that two layers share counts once. */
  readonly parameters: number;
  /** Stored tensors by format: how many, and their bytes in the files. */
  readonly formats: Readonly<Record<string, { tensors: number; bytes: number }>>;
  /** The largest number of tokens in a text that the model was trained for. */
  readonly context: number;
  readonly memory: MemoryFit & {
    /** Bytes of the weights in memory after `load`. */
    readonly weights: number;
    /** Bytes of the KV cache for the first 1,000 tokens. */
    readonly cachePer1000Tokens: number;
  };
  readonly tokenizer: { readonly vocabSize: number; readonly chatTemplate: boolean } | null;
  /** Tokens that end a text. */
  readonly eos: readonly { readonly id: number; readonly token: string | null }[];
  /** Lines for the user, such as tensors that are not used. */
  readonly notes: readonly string[];
}

/** The options of `load` that change the description. */
export interface ModelInfoOptions extends Pick<
  WeightOptions,
  'weights' | 'context' | 'maxMemory' | 'onProgress' | 'signal'
> {
  readonly revision?: string | undefined;
  readonly allowLinks?: boolean | undefined;
  readonly verify?: boolean | undefined;
}

/** Describes the model that `load` would load. @throws {VitrineError} as `load` does before it reads weights */
export async function modelInfo(source: string, options: ModelInfoOptions): Promise<ModelInfo> {
  const { revision, allowLinks, verify, onProgress, signal } = options;
  const files = await openModel(source, { revision, allowLinks, verify, onProgress, signal });
  try {
    return describe(files, options, availableMemory());
  } finally {
    await files.checkpoint.close();
  }
}

function describe(files: ModelFiles, { weights, context, maxMemory }: ModelInfoOptions, available: number): ModelInfo {
  const plan = planNetwork(files, { weights });
  const { network, requests, weightBytes } = plan;
  const tokenizer = files.tokenizer && new Tokenizer(files.tokenizer);
  const formats: Record<string, { tensors: number; bytes: number }> = {};
  for (const { format, bytes } of files.checkpoint.tensors.values()) {
    const entry = (formats[format] ??= { tensors: 0, bytes: 0 });
    entry.tensors += 1;
    entry.bytes += bytes;
  }
  return {
    source: files.source,
    config: network.config,
    parameters: requests.reduce((sum, { parameter }) => sum + elements(parameter.shape), 0),
    formats,
    context: network.config.maxPositions,
    memory: {
      weights: weightBytes,
      cachePer1000Tokens: cacheBytes(network.cacheLayout, 1000),
      ...assess(plan, { available, maxMemory, context }),
    },
    tokenizer: tokenizer ? { vocabSize: tokenizer.vocabSize, chatTemplate: tokenizer.hasChatTemplate } : null,
    eos: endIds({ ...files, tokenizer }).map((id) => ({ id, token: tokenizer?.tokenOf(id) ?? null })),
    notes: [...(files.notes ?? []), ...plan.notes],
  };
}
