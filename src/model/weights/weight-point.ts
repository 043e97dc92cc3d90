import type { Linear } from '../../tensor/ops/linear.ts';
import type { PackedParameter } from '../../tensor/packed-parameter.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { chain, part, permuted, split, type View, WHOLE } from './view.ts';

/**
 * A weight that can be read and edited by name, declared by the part that computes with it. Names and orientation are
 * TransformerLens' where it has them: a row vector is multiplied from the left, `x W + b`.
 *
 * Axes: V vocabulary, P learned positions, D model width, H query heads, K key/value heads, d head width (dv that of values,
 * dn and dr its parts without rotation and with it), r and rq ranks of latents, F width of the MLP or expert, E experts.
 */
export interface WeightPoint {
  /** Under the path of the part that declares it: `w` of a norm is `blocks.0.ln1.w` in a model. */
  readonly name: string;
  readonly axes: string;
  readonly meaning: string;
  /** What holds it in memory, perhaps beside other weights. */
  readonly parameter: Parameter | PackedParameter;
  /** Where it is in the parameter. */
  readonly view: View;
}

/** A weight of the scheme that a part lacks. */
export interface AbsentWeight {
  readonly name: string;
  /** Why, as a sentence without its full stop. */
  readonly absence: string;
}

/** What a part says of its weights. */
export type WeightDeclaration = WeightPoint | AbsentWeight;

/** A parameter as it is, such as the gain of a norm. */
export const wholeWeight = (
  name: string,
  parameter: Parameter,
  { axes, meaning }: Pick<WeightPoint, 'axes' | 'meaning'>,
): WeightPoint => ({ name, axes, meaning, parameter, view: WHOLE });

/** How one of the layers that a `Linear` joins is named. */
export interface LayerName {
  /** `Q` for the matrix `W_Q` and the bias `b_Q`. */
  readonly name: string;
  /** Axes of the matrix: `D F`; with `heads`, `H D d`; with `inputHeads`, `H d D`. */
  readonly axes: string;
  readonly meaning: string;
  /** Which of the joined layers. Default: the first. */
  readonly index?: number;
  /** The number of heads whose outputs lie one after the other. Default: there are none. */
  readonly heads?: number;
  /** The number of heads whose values the layer reads one after the other. Default: there are none. */
  readonly inputHeads?: number;
  /** The outputs that it has, of each head or of all: the first of them, and how many. Default: all. */
  readonly outputs?: readonly [from: number, count: number];
}

/** The matrix `[in, out]`, and the bias or its absence, of each layer that is named. */
export function layerWeights(layer: Linear, names: readonly LayerName[]): WeightDeclaration[] {
  return names.flatMap((one) => {
    const { name, axes, meaning } = one;
    const outputs = outputsOf(layer, one);
    const matrix = {
      name: `W_${name}`,
      axes,
      meaning,
      parameter: layer.weight,
      view: chain(outputs, inputsFirst(one)),
    };
    const bias = layer.bias
      ? { name: `b_${name}`, axes: biasAxes(one), meaning: `bias of W_${name}`, parameter: layer.bias, view: outputs }
      : { name: `b_${name}`, absence: `W_${name} has no bias in this model` };
    return [matrix, bias];
  });
}

/** `W_O` and `b_O` of attention, whose output projection reads the mixed values of all heads. */
export const outputWeights = (layer: Linear, inputHeads: number, valueAxis = 'd'): WeightDeclaration[] => {
  const meaning = 'maps the mixed values of each head to the residual stream';
  return layerWeights(layer, [{ name: 'O', axes: `H ${valueAxis} D`, inputHeads, meaning }]);
};

/** The rows of a layer in the matrix, or its numbers in the bias: `[out, ...]` or `[heads, out, ...]`. */
function outputsOf({ sizes }: Linear, { index = 0, heads, outputs }: LayerName): View {
  const first = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
  const own = part(0, first, sizes[index]);
  const chosen = (axis: number): View => (outputs ? part(axis, ...outputs) : WHOLE);
  return heads === undefined ? chain(own, chosen(0)) : chain(own, split(0, heads), chosen(1));
}

/** From `[..., out, in]`, as a matrix lies in memory, to `[..., in, out]`. */
function inputsFirst({ heads, inputHeads }: LayerName): View {
  if (inputHeads !== undefined) return chain(split(1, inputHeads), permuted([1, 2, 0]));
  return permuted(heads === undefined ? [1, 0] : [0, 2, 1]);
}

function biasAxes({ axes, heads }: LayerName): string {
  const letters = axes.split(' ');
  return heads === undefined ? letters.at(-1)! : `${letters[0]} ${letters.at(-1)!}`;
}
