import { basename } from 'node:path';
import { openModel } from '../engine/load.ts';
import { planNetwork } from '../engine/load-network.ts';
import type { LayerLayout } from '../model/cache.ts';
import type { DecoderConfig } from '../model/decoder-config.ts';
import type { Shape } from '../tensor/backend.ts';
import { PackedParameter } from '../tensor/packed.ts';
import type { Phase } from './suite.ts';
import { VitrineError } from '../tensor/errors.ts';

/** The true shapes of a model, found without reading a weight. */
export interface ModelShapes {
  readonly name: string;
  readonly source: string;
  readonly config: DecoderConfig;
  readonly cacheLayout: readonly LayerLayout[];
  /** Its matrices, each with the number of layers that have one of this name and shape. */
  readonly matrices: readonly MatrixSite[];
  /** False where a token also goes through matrices that are not listed: experts, packed weights. */
  readonly isComplete: boolean;
}

export interface MatrixSite {
  /** The layer's number is a star. */
  readonly site: string;
  readonly shape: Shape;
  readonly dtype: 'f32' | 'bf16';
  readonly count: number;
  /** The head: it sees the last row of a text only. */
  readonly isHead: boolean;
}

/** @throws VitrineError where `load` would, before it reads weights. */
export async function readShapes(source: string): Promise<ModelShapes> {
  const files = await openModel(source);
  try {
    const { network, requests } = planNetwork(files);
    const sites = new Map<string, MatrixSite>();
    const head = network.lmHead.weight;
    let isComplete = true;
    for (const { parameter } of requests) {
      // Of a mixture's experts a token uses few, and packed weights have kernels of their own.
      if (parameter instanceof PackedParameter || /\.experts\.\d+\./.test(parameter.name)) {
        isComplete = false;
        continue;
      }
      const { name, shape, dtype } = parameter;
      const isHead = parameter === head;
      // A table that is looked up is no product, unless the head shares it.
      if (shape.length !== 2 || (parameter === network.embed && !isHead)) continue;
      const site = isHead ? 'lm_head' : siteOf(name);
      const known = sites.get(`${site} ${shape.join()}`);
      const entry = { site, shape, dtype: dtype === 'bf16' ? dtype : 'f32', isHead } as const;
      sites.set(`${site} ${shape.join()}`, { ...entry, count: (known?.count ?? 0) + 1 });
    }
    return {
      name: basename(source),
      source,
      config: network.config,
      cacheLayout: network.cacheLayout,
      matrices: [...sites.values()],
      isComplete,
    };
  } finally {
    await files.checkpoint.close();
  }
}

/** `model.layers.3.self_attn.q_proj+k_proj.weight` without the number, and without what all names share. */
const siteOf = (name: string): string =>
  name
    .replace(/^(model|transformer|gpt_neox)\./, '')
    .replace(/\.weight$/, '')
    .replace(/\.\d+\./, '.*.');

/** Tokens before a token that is decoded, where no other number is asked for. */
const DEPTH = 512;

/** `decode`, `decode:2048` (behind so many tokens) or `prefill:512` (so many tokens at once). */
export function parsePhase(text: string): Phase {
  const match = /^(decode|prefill)(?::(\d+))?$/.exec(text);
  const count = Number(match?.[2] ?? DEPTH);
  if (match === null || count < 1 || count > 2 ** 20)
    throw new VitrineError(`shape "${text}": expected decode, decode:DEPTH or prefill:TOKENS, from 1 to 1048576.`);
  return match[1] === 'decode' ? { name: text, tokens: 1, depth: count } : { name: text, tokens: count, depth: 0 };
}
