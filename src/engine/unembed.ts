import type { Decoder } from '../model/parts/decoder.ts';
import { checkArgument, instanceOf, OptionError } from '../options.ts';
import { scope } from '../tensor/scope.ts';
import { show } from '../tensor/shape.ts';
import { observe } from '../tensor/tap.ts';
import { concat, Tensor } from '../tensor/tensor.ts';

/**
 * The logits of a residual stream `[..., D]` f32, each `[T, D]` of it in a product of its own: `[..., V]` f32.
 *
 * @throws {OptionError} for what is no residual stream of this network.
 */
export function unembed(network: Decoder, residual: Tensor): Tensor {
  checkArgument('unembed', 'the residual', residual, instanceOf(Tensor, 'a tensor'));
  const { shape, dtype } = residual;
  const { dim: D, vocabSize: V } = network.config;
  if (shape.length === 0 || shape.at(-1) !== D || dtype !== 'f32' || shape.includes(0))
    throw new OptionError(`unembed: expected a residual stream f32 [..., ${D}], got ${dtype} ${show(shape)}.`);
  const T = shape.at(-2) ?? 1;
  return scope('', () => {
    const streams = residual.reshape([-1, T, D]);
    const logits = Array.from({ length: streams.shape[0] }, (_, i) =>
      observe([], () => network.unembed(streams.slice([i, 0, 0], [1, -1, -1]).reshape([T, D]))),
    ); // [T, V] each
    return concat(logits).reshape(shape.with(-1, V));
  });
}
