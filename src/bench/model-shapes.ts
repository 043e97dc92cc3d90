import { basename } from 'node:path';
import { openModel } from '../loader/open-model.ts';
import { planNetwork } from '../engine/load/plan-network.ts';
import type { LayerLayout } from '../model/cache/kv-cache.ts';
import type { DecoderConfig } from '../model/config/decoder-config.ts';
import { Block } from '../model/parts/block.ts';
import { Mixture } from '../model/parts/mixture.ts';
import type { Shape } from '../tensor/backend.ts';
import { PackedParameter } from '../tensor/packed-parameter.ts';
import type { Parameter } from '../tensor/parameter.ts';
import { VitrineError } from '../errors.ts';
import type { Phase } from './suite.ts';
import type { WeightFormat } from './weight-format.ts';

/** The true shapes of a model, found without reading a weight. */
export interface ModelShapes {
  readonly name: string;
  readonly source: string;
  readonly config: DecoderConfig;
  readonly cacheLayout: readonly LayerLayout[];
  /** The matrices that every token goes through, each with the number of layers that have one of this name and shape. */
  readonly matrices: readonly MatrixSite[];
  /** Where experts are, of which a token goes through those that a router chooses; how many, `config.experts` says. */
  readonly mixtures: readonly MixtureSite[];
}

export interface MixtureSite {
  /** The layer's number is a star. */
  readonly site: string;
  readonly stored: WeightFormat;
  readonly biased: boolean;
  /** Layers that have one. */
  readonly count: number;
}

export interface MatrixSite {
  /** The layer's number is a star. */
  readonly site: string;
  readonly shape: Shape;
  readonly stored: WeightFormat;
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
    const mixtures = network.blocks.flatMap((block) => (block instanceof Block && block.mlp instanceof Mixture ? [block.mlp] : [])); // prettier-ignore
    const ofExperts = new Set(mixtures.flatMap((one) => one.experts.flatMap(({ gateUp, down }) => [gateUp.weight, down.weight]))); // prettier-ignore
    for (const { parameter } of requests) {
      const { name, shape } = parameter;
      if (ofExperts.has(parameter)) continue;
      const isHead = parameter === head;
      // A table that is looked up is no product, unless the head shares it.
      if (shape.length !== 2 || (parameter === network.embed && !isHead)) continue;
      const site = isHead ? 'lm_head' : siteOf(name);
      const known = sites.get(`${site} ${shape.join()}`);
      const entry = { site, shape, stored: storedAs(parameter), isHead, count: (known?.count ?? 0) + 1 };
      sites.set(`${site} ${shape.join()}`, entry);
    }
    return {
      name: basename(source),
      source,
      config: network.config,
      cacheLayout: network.cacheLayout,
      matrices: [...sites.values()],
      mixtures: mixtureSites(mixtures),
    };
  } finally {
    await files.checkpoint.close();
  }
}

/** Mixtures whose experts are stored alike are one site. */
function mixtureSites(mixtures: readonly Mixture[]): MixtureSite[] {
  const sites = new Map<string, MixtureSite>();
  for (const { experts } of mixtures) {
    const [{ gateUp }] = experts;
    const site = siteOf(gateUp.weight.name).replace(/\.experts\..*$/, '.experts');
    const stored = storedAs(gateUp.weight);
    const known = sites.get(`${site} ${stored}`);
    sites.set(`${site} ${stored}`, { site, stored, biased: gateUp.bias !== undefined, count: (known?.count ?? 0) + 1 });
  }
  return [...sites.values()];
}

function storedAs(parameter: Parameter | PackedParameter): WeightFormat {
  if (parameter instanceof PackedParameter) return parameter.layout.format.name;
  return parameter.dtype === 'bf16' ? 'bf16' : 'f32';
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
