import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { checkArgument, whole } from '../options.ts';
import { VitrineError } from '../errors.ts';
import { HookError } from '../hooks/hook-error.ts';
import { elements } from '../tensor/dtype.ts';
import { keep, scope } from '../tensor/scope.ts';
import { sameShape, show } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { measured } from './metric.ts';

/** What integrated gradients attribute, and to what. */
export interface IntegratedOptions {
  /** Makes one number of the logits after the last token, `[1, V]`, by methods of tensors. */
  readonly of: (logits: Tensor) => Tensor;
  /** The name of one hook. */
  readonly at: string;
  /**
   * Where the line to the activation begins, in its shape. Default: zeros. For the residual stream take the activation of
   * another prompt: a norm behind it jumps near zero, which takes very many steps.
   */
  readonly baseline?: Tensor | undefined;
  /** Points on the line at which gradients are taken. Default 32. */
  readonly steps?: number | undefined;
}

/** The part of each number of an activation in what distinguishes it from the baseline. */
export interface IntegratedGradients {
  /** In the shape of the activation; `dispose` frees it. */
  readonly attributions: Tensor;
  /** The number as it is, and with the baseline in place of the activation. */
  readonly value: number;
  readonly baselineValue: number;
  /** The sum of the attributions less `value - baselineValue`: 0 but for the error of the steps, so that it says whether they suffice. */
  readonly gap: number;
  readonly dispose: () => void;
  readonly [Symbol.dispose]: () => void;
}

/**
 * Integrated gradients (Sundararajan et al., 2017): the mean gradient along the straight line from a baseline to the activation,
 * times their difference. The line is cut into `steps` pieces, with the gradient of each taken in its middle.
 *
 * @throws {HookError} as {@link Model.gradients} does, and for a glob.
 * @throws {VitrineError} for a baseline of another shape.
 */
export function integratedGradients(model: Model, prompt: Prompt, options: IntegratedOptions): IntegratedGradients {
  const { of, at, baseline, steps = 32 } = options;
  checkArgument('integratedGradients', 'steps', steps, whole(1));
  if (at.includes('*')) throw new HookError(`integratedGradients: expected the name of one hook, got "${at}".`);
  using plain = model.gradients(prompt, { of, at: [at], capture: [at], rows: 'last' });
  const activation = plain.acts[at];
  return scope('', () => {
    const from = baseline ?? Tensor.from(model.backend, new Float32Array(elements(activation.shape)), activation.shape);
    if (!sameShape(from.shape, activation.shape))
      throw new VitrineError(
        `integratedGradients: expected a baseline ${show(activation.shape)}, as ${at} is, got ${show(from.shape)}.`,
      );
    const difference = activation.sub(from);
    let sum = difference.mul(0);
    for (let step = 0; step < steps; step++) {
      const before = sum;
      sum = scope('', () => {
        const point = from.add(difference.mul((step + 0.5) / steps));
        using here = model.gradients(prompt, { of, at: [at], edit: { [at]: () => point }, rows: 'last' });
        return before.add(here.grads[at]);
      });
      before.dispose();
    }
    const attributions = keep(difference.mul(sum).mul(1 / steps));
    using atBaseline = model.run(prompt, { edit: { [at]: () => from }, rows: 'last' });
    const baselineValue = measured(of, atBaseline.logits);
    const total = attributions.data64().reduce((all, part) => all + part, 0);
    const gap = total - (plain.value - baselineValue);
    const dispose = (): void => {
      attributions.dispose();
    };
    return { attributions, value: plain.value, baselineValue, gap, dispose, [Symbol.dispose]: dispose };
  });
}
