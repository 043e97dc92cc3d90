import { embedding } from '../../tensor/ops/embedding.ts';
import { linear, type Linear } from '../../tensor/ops/linear.ts';
import { rmsNorm } from '../../tensor/ops/rms-norm.ts';
import type { Rotation } from '../../tensor/ops/rotate.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { keep, scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { LayerLayout } from '../cache.ts';
import type { DecoderConfig } from '../decoder-config.ts';
import type { LayerCache, Step } from '../step.ts';
import type { Weights } from '../weights.ts';

/** One layer on the residual stream. */
export interface Layer {
  forward(x: Tensor, rope: Rotation, cache: LayerCache): Tensor;
}

/** The trunk: embedding, layers, final norm, head. */
export class Decoder {
  readonly config: DecoderConfig;
  readonly embed: Parameter; //  [V, D]
  readonly blocks: readonly Layer[];
  readonly norm: Parameter; //   [D]
  readonly lmHead: Linear; //    [V, D]

  /** @param block Makes layer `index` from the weights under its path. */
  constructor(config: DecoderConfig, weights: Weights, block: (weights: Weights, index: number) => Layer) {
    const { vocabSize: V, dim: D, nLayers } = config;
    this.config = config;
    this.embed = weights.matrix('model.embed_tokens.weight', V, D);
    this.blocks = Array.from({ length: nLayers }, (_, index) => block(weights.at(`model.layers.${index}`), index));
    this.norm = weights.vector('model.norm.weight', D);
    // A file that holds a head of its own means it, whatever the config says of tying.
    const tied = config.tieEmbeddings && !weights.has('lm_head.weight');
    this.lmHead = tied ? weights.tied(this.embed) : weights.linear('lm_head', V, D);
  }

  /** What a cache for this network holds, by layer. */
  get cacheLayout(): LayerLayout[] {
    const { nKvHeads, headDim } = this.config;
    return this.config.windows.map((window) => ({ nKvHeads, keyDim: headDim, valueDim: headDim, window }));
  }

  /**
   * The forward pass, stopping after every layer so that a long one can be given up; the caller drains it.
   *
   * @param logits Rows of the result: the last of each sequence, or all.
   * @returns `[rows, V]` f32, kept.
   */
  *forward(step: Step, logits: 'last' | 'all'): Generator<undefined, Tensor, undefined> {
    const rope = scope('', () => step.rotation(this.config.rope));
    let x = scope('', () => keep(tap('hook_embed', embedding(this.embed, tap('hook_tokens', step.tokens))))); // [T, D]
    try {
      for (const [index, block] of this.blocks.entries()) {
        yield;
        const input = x;
        x = scope(`blocks.${index}`, () => keep(block.forward(input, rope, step.layer(index)))); //               [T, D]
        if (input !== x) input.dispose();
      }
      yield;
      return scope('', () => {
        const normed = tap('ln_final.hook_out', rmsNorm(x, this.norm.tensor, this.config.normEpsilon, 'ln_final'));
        const rows = logits === 'all' ? normed : normed.gather(step.lastRows()); //                    [rows, D]
        return keep(tap('hook_logits', tap('unembed.hook_out', linear(rows, this.lmHead)))); //        [rows, V]
      });
    } finally {
      x.dispose();
    }
  }
}
