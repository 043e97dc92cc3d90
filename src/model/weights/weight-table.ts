import { nearest } from '../../nearest.ts';
import { checkArgument, TEXT } from '../../options.ts';
import { denseWeight } from '../../tensor/ops/linear.ts';
import { scope } from '../../tensor/scope.ts';
import type { Shape } from '../../tensor/shape.ts';
import { concat, type Tensor } from '../../tensor/tensor.ts';
import { WeightError } from './weight-error.ts';
import type { WeightDeclaration, WeightPoint } from './weight-point.ts';

/** The weights of a network by name, in the order of the pass, and why it lacks others. */
export class WeightTable {
  readonly points: ReadonlyMap<string, WeightPoint>;
  readonly #absences: ReadonlyMap<string, string>;

  /** @param declared By the parts of the network, names in full. */
  constructor(declared: readonly WeightDeclaration[]) {
    const points = new Map<string, WeightPoint>();
    const absences = new Map<string, string>();
    for (const one of declared) {
      if ('absence' in one) absences.set(one.name, one.absence);
      else points.set(one.name, one);
    }
    this.points = points;
    this.#absences = absences;
  }

  /** @throws {WeightError} for a name that is not among them: it says why, where a part does, and gives the nearest names. */
  find(name: string): WeightPoint {
    checkArgument('weights', 'the name', name, TEXT);
    const point = this.points.get(name);
    if (point !== undefined) return point;
    const absence = this.#absences.get(name);
    const why = absence === undefined ? '' : `: ${absence}`;
    const near = nearest(name, [...this.points.keys()]);
    throw new WeightError(`This model has no weight "${name}"${why}. Nearest: ${near.join(', ')}.`);
  }
}

/** The shape of a weight. */
export const weightShape = ({ parameter, view }: WeightPoint): Shape => view.shapeOf(parameter.shape);

/** A copy of a weight in f32, which goes to the current scope. */
export function weightTensor({ parameter, view }: WeightPoint): Tensor {
  return scope('', () => {
    const whole = denseWeight({ weight: parameter });
    const seen = view.read(whole);
    return whole === parameter.tensor ? concat([seen]) : seen; // Else it would lie in the parameter's memory.
  });
}
