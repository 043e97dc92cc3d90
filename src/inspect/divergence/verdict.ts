import { roundToBf16 } from '../../tensor/formats/bf16.ts';
import { show } from '../../tensor/shape.ts';
import type { Recording } from '../recording.ts';
import type { ComparedHook } from './compare-hook.ts';

/** What a comparison found. */
export interface Verdict {
  /**
   * `same`: equal bit for bit. `rounding`: apart by no more than rounding explains. `weights`: the first difference beyond
   * rounding is noise in what the pass looks up, so that the two have other weights. `bug`: any other.
   */
  readonly verdict: 'same' | 'rounding' | 'weights' | 'bug';
  /** The first hook that differs by more than rounding explains; or where near-equal scores made the two choose other experts. */
  readonly first: ComparedHook | undefined;
  /** With an oracle: which of the two is further from it at that hook than rounding explains. */
  readonly wrong: readonly ('a' | 'b')[] | undefined;
  /** The verdict in one or two sentences. */
  readonly reason: string;
}

/** Says what the compared hooks of two recordings mean. */
export function verdictOf(hooks: readonly ComparedHook[], [a, b]: readonly Recording[]): Verdict {
  const first = hooks.find(({ isBeyond }) => isBeyond);
  if (first === undefined) return withinRounding(hooks);
  const weights = /(^|\.)hook_(pos_)?embed$/.test(first.hook) ? otherWeights(first.hook, a, b) : undefined;
  if (weights !== undefined) return { verdict: 'weights', first, wrong: first.wrong, reason: weights };
  const before = hooks.indexOf(first);
  const reason = `${first.hook} ${differs(first)}; ${before === 0 ? 'it is the first hook' : `the ${before} hooks before it agree`}.`;
  return { verdict: 'bug', first, wrong: first.wrong, reason: `${reason}${wrongWords(first)}` };
}

function withinRounding(hooks: readonly ComparedHook[]): Verdict {
  const none = { wrong: undefined, first: undefined };
  const tie = hooks.find(({ choice }) => choice?.isTie);
  if (tie?.choice) {
    const { experts, scores } = tie.choice;
    const reason =
      `${tie.hook}: experts ${experts.join(' and ')} of token ${tie.at[0]} have scores ${scores.map(number).join(' and ')}, closer than ` +
      'rounding tells apart, and the two passes chose differently. Later hooks are not compared.';
    return { verdict: 'rounding', first: tie, wrong: undefined, reason };
  }
  const [largest] = hooks.toSorted((x, y) => y.relative - x.relative);
  if (largest.relative === 0)
    return { verdict: 'same', ...none, reason: `All ${hooks.length} hooks are equal bit for bit.` };
  const reason = `No hook of ${hooks.length} differs by more than rounding explains; the largest difference is at ${largest.hook}: ${number(
    largest.relative,
  )} of its row's scale, of ${number(largest.allowed)}.`;
  return { verdict: 'rounding', ...none, reason };
}

function differs({ relative, allowed, shape, otherShape, values, choice }: ComparedHook): string {
  if (otherShape) return `has shape ${show(shape)} in a and ${show(otherShape)} in b`;
  if (choice)
    return `is ${values.join(' and ')}, and their scores, ${choice.scores.map(number).join(' and ')}, are not close`;
  if (!Number.isFinite(relative)) return `is ${values.join(' in a and ')} in b`;
  return `differs by ${number(relative)} of its row's scale, where rounding explains ${number(allowed)}`;
}

function wrongWords({ errors, wrong }: ComparedHook): string {
  if (errors === undefined || wrong === undefined) return '';
  const words = wrong.length > 1 ? 'Both are wrong' : `${wrong[0]} is wrong`;
  return ` ${words}: a is ${number(errors.a)} from the oracle, b ${number(errors.b)}.`;
}

/** Numbers that are looked up have no rounding; a difference that is noise on all of them is that of other weights. */
function otherWeights(hook: string, a: Recording, b: Recording): string | undefined {
  const [x, y] = [a, b].map(({ acts }) => acts[hook].data());
  const rows = `${hook} is looked up, not computed: the two have other weights.`;
  if (roundToBf16(x.slice()).every((value, i) => value === y[i]))
    return `${rows} Those of b are those of a, rounded to bf16.`;
  if (roundToBf16(y.slice()).every((value, i) => value === x[i]))
    return `${rows} Those of a are those of b, rounded to bf16.`;
  let [along, noise, power, unequal] = [0, 0, 0, 0];
  for (const [i, value] of x.entries()) {
    const error = y[i] - value;
    along += error * value;
    noise += error ** 2;
    power += value ** 2;
    if (error !== 0) unequal++;
  }
  // The differences of a wrong factor go along with the values; those of a wrong row are as large as they, or elsewhere zero.
  const isNoise = unequal > x.length / 2 && noise < 0.05 * power && Math.abs(along) < 0.5 * Math.sqrt(noise * power);
  return isNoise
    ? `${rows} They differ by ${number(Math.sqrt(noise / power))} of their norm, as quantised weights do.`
    : undefined;
}

const number = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(2)));
