import { basename } from 'node:path';
import { openModel } from '../../loader/open/open-model.ts';
import { planNetwork } from '../../engine/load/plan-network.ts';
import type { LayerLayout } from '../../model/cache/kv-cache.ts';
import type { DecoderConfig } from '../../model/config/decoder-config.ts';
import { Block } from '../../model/parts/block.ts';
import { Mixture } from '../../model/parts/mixture.ts';
import type { Shape } from '../../tensor/shape.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import type { WeightFormat } from './weight-format.ts';

/** The shapes of a model's weights and cache, found without reading a weight. */
export interface ModelShapes {
  /** The last part of `source`. */
  readonly name: string;
  /** A folder, a GGUF file or a hub id. */
  readonly source: string;
  readonly config: DecoderConfig;
  readonly cacheLayout: readonly LayerLayout[];
  /** The matrices that multiply every token; those of one name and shape in several layers are one site. */
  readonly matrices: readonly MatrixSite[];
  /** The mixtures of experts, of which a router chooses a few for each token; `config.experts` has the numbers. */
  readonly mixtures: readonly MixtureSite[];
}

/** Mixtures of experts in several layers whose experts are stored in one format. */
export interface MixtureSite {
  /** Their name with a star for the layer's number: `layers.*.mlp.experts`. */
  readonly site: string;
  readonly stored: WeightFormat;
  /** Whether the experts' products have biases. */
  readonly biased: boolean;
  /** The number of layers. */
  readonly count: number;
}

/** Matrices of one name, shape and format in several layers. */
export interface MatrixSite {
  /** Their name with a star for the layer's number: `layers.*.mlp.down_proj`. */
  readonly site: string;
  /** `[outputs, inputs]` */
  readonly shape: Shape;
  readonly stored: WeightFormat;
  /** The number of layers. */
  readonly count: number;
  /** Whether it is the head, which multiplies the last row of a text only. */
  readonly isHead: boolean;
}

/**
 * Reads the shapes of a model.
 *
 * @throws {VitrineError} when the model cannot be opened, as `load` does.
 */
export async function readShapes(source: string): Promise<ModelShapes> {
  const files = await openModel(source);
  try {
    const { network, requests } = planNetwork(files);
    const sites = new Map<string, MatrixSite>();
    const head = network.lmHead.weight;
    const mixtures = network.blocks.flatMap((block) =>
      block instanceof Block && block.mlp instanceof Mixture ? [block.mlp] : [],
    );
    const ofExperts = new Set(
      mixtures.flatMap((one) => one.experts.flatMap(({ gateUp, down }) => [gateUp.weight, down.weight])),
    );
    for (const { parameter } of requests) {
      const { name, shape } = parameter;
      if (ofExperts.has(parameter)) continue;
      const isHead = name === head.name; // That of the embedding, where the two are tied.
      // The embedding is looked up, not multiplied, unless the head shares it.
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

/** `layers.*.self_attn.q_proj+k_proj` of `model.layers.3.self_attn.q_proj+k_proj.weight`. */
const siteOf = (name: string): string =>
  name
    .replace(/^(model|transformer|gpt_neox)\./, '')
    .replace(/\.weight$/, '')
    .replace(/\.\d+\./, '.*.');
