import { eosIds } from '../../engine/generate-options.ts';
import { openModel } from '../../engine/load.ts';
import { planNetwork, type WeightOptions } from '../../engine/load-network.ts';
import type { ModelFiles } from '../../loader/checkpoint.ts';
import type { DecoderConfig } from '../../model/decoder-config.ts';
import type { LayerLayout } from '../../model/cache.ts';
import { elements } from '../../tensor/dtype.ts';
import { Tokenizer } from '../../tokenizer/tokenizer.ts';

/** What is known of a model without reading its weights. */
export interface ModelInfo {
  readonly source: string;
  readonly config: DecoderConfig;
  /** Numbers in all weights; a matrix that two layers share counts once. */
  readonly parameters: number;
  /** Stored tensors by format: how many, and their bytes in the files. */
  readonly formats: Readonly<Record<string, { tensors: number; bytes: number }>>;
  /** Tokens that the model was made for. */
  readonly context: number;
  readonly memory: {
    /** Bytes of the weights, as `load` holds them. */
    readonly weights: number;
    /** Bytes of the KV cache for the first 1,000 tokens. */
    readonly cachePer1000Tokens: number;
  };
  readonly tokenizer: { readonly vocabSize: number; readonly chatTemplate: boolean } | null;
  /** Tokens that end a text. */
  readonly eos: readonly { readonly id: number; readonly token: string | null }[];
  readonly notes: readonly string[];
}

export interface ModelInfoOptions extends Pick<WeightOptions, 'weights' | 'onProgress' | 'signal'> {
  readonly revision?: string | undefined;
}

/** Describes what `load` would load. @throws VitrineError where `load` would, before it reads weights. */
export async function modelInfo(source: string, options: ModelInfoOptions): Promise<ModelInfo> {
  const files = await openModel(source, options);
  try {
    return describe(files, options);
  } finally {
    await files.checkpoint.close();
  }
}

function describe(files: ModelFiles, { weights }: ModelInfoOptions): ModelInfo {
  const { network, requests, weightBytes } = planNetwork(files, { weights });
  const tokenizer = files.tokenizer && new Tokenizer(files.tokenizer);
  const formats: Record<string, { tensors: number; bytes: number }> = {};
  for (const { format, bytes } of files.checkpoint.tensors.values()) {
    const entry = (formats[format] ??= { tensors: 0, bytes: 0 });
    entry.tensors += 1;
    entry.bytes += bytes;
  }
  const eos = eosIds(files.generationConfig?.eos_token_id ?? files.config.eos_token_id);
  return {
    source: files.source,
    config: network.config,
    parameters: requests.reduce((sum, { parameter }) => sum + elements(parameter.shape), 0),
    formats,
    context: network.config.maxPositions,
    memory: { weights: weightBytes, cachePer1000Tokens: cacheBytes(network.cacheLayout, 1000) },
    tokenizer: tokenizer ? { vocabSize: tokenizer.vocabSize, chatTemplate: tokenizer.hasChatTemplate } : null,
    eos: eos.map((id) => ({ id, token: tokenizer?.tokenOf(id) ?? null })),
    notes: files.notes ?? [],
  };
}

/** f32 keys and values; a layer with a sliding window keeps no more tokens than the window has. */
const cacheBytes = (layout: readonly LayerLayout[], tokens: number): number =>
  layout.reduce(
    (sum, { nKvHeads, keyDim, valueDim, window }) =>
      sum + nKvHeads * (keyDim + valueDim) * 4 * Math.min(tokens, window),
    0,
  );
