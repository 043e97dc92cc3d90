import type { HostArray } from './backend.ts';
import type { DType } from './dtype.ts';
import { type Shape, show } from './shape.ts';

/** Values that are printed. */
const SHOWN = 4;

// V8 takes reading an imported name to have a side effect, reading one of the module not.
const shapeText = show;

/**
 * One line for consoles and debuggers: dtype and shape, min, max and mean of the finite numbers, the count of NaN and of
 * infinities, if there are any, and the first four values, with four significant digits each.
 *
 * Debuggers evaluate this with an eye on side effects (`throwOnSideEffect`): there is nothing in it that V8 takes to have some.
 */
export function summary(dtype: DType, shape: Shape, values: HostArray): string {
  const head = `Tensor ${dtype} ${shapeText(shape)}`;
  if (values.length === 0) return `${head} empty`;
  let [min, max, sum] = [Infinity, -Infinity, 0];
  let [nan, low, high] = [0, 0, 0];
  for (const value of values) {
    if (Number.isNaN(value)) nan++;
    else if (value === -Infinity) low++;
    else if (value === Infinity) high++;
    else {
      if (value < min) min = value;
      if (value > max) max = value;
      sum += value;
    }
  }
  const finite = values.length - nan - low - high;
  const range = finite > 0 ? ` min ${number(min)} max ${number(max)} mean ${number(sum / finite)}` : '';
  const infinities = `${low > 0 ? ` -Infinity ${low}` : ''}${high > 0 ? ` Infinity ${high}` : ''}`;
  let first = '';
  for (let i = 0; i < values.length && i < SHOWN; i++) first += ` ${number(values[i])}`;
  return `${head}${range} NaN ${nan}${infinities} |${first}${values.length > SHOWN ? ' …' : ''}`;
}

/** With four significant digits, and without their zeros at the end. */
const number = (value: number): string => `${Number(value.toPrecision(4))}`;
