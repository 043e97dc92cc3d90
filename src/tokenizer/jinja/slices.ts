import type { Budget } from './budget.ts';
import { TemplateFault } from './values.ts';

export type Bounds = readonly (number | undefined)[];

/** Which items of `length` Python's `value[start:stop:step]` takes: `count` of them, from `start` on. */
export function slicePositions(length: number, bounds: Bounds): { start: number; step: number; count: number } {
  const step = bounds[2] ?? 1;
  if (step === 0) throw new TemplateFault('slice step cannot be zero');
  const [lowest, highest] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (bound: number): number => Math.min(Math.max(bound < 0 ? bound + length : bound, lowest), highest);
  const start = bounds[0] === undefined ? (step > 0 ? lowest : highest) : clamp(bounds[0]);
  const stop = bounds[1] === undefined ? (step > 0 ? highest : lowest) : clamp(bounds[1]);
  return { start, step, count: Math.max(0, Math.ceil((stop - start) / step)) };
}

/** A text's code points, which is what Python counts. */
export function characters(text: string, budget: Budget): string[] {
  budget.spend(text.length);
  return Array.from(text);
}

/** Python's `text[start:stop:step]`. */
export function substring(text: string, bounds: Bounds, budget: Budget): string {
  budget.text(text.length);
  if (!hasPairs(text) && (bounds[2] ?? 1) === 1) {
    const { start, count } = slicePositions(text.length, bounds);
    return text.slice(start, start + count);
  }
  const all = characters(text, budget);
  const { start, step, count } = slicePositions(all.length, bounds);
  return Array.from({ length: count }, (_, i) => all[start + i * step]).join('');
}

/** Python's `text[index]`; undefined beyond its ends. */
export function characterAt(text: string, index: number, budget: Budget): string | undefined {
  budget.text(text.length);
  return hasPairs(text) ? characters(text, budget).at(index) : text.at(index);
}

/** Without pairs, JavaScript's units are code points. */
const hasPairs = (text: string): boolean => /[\ud800-\udbff]/.test(text);
