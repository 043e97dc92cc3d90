import type { Budget } from './budget.ts';
import { TemplateFault } from './template-fault.ts';

/** Start, stop and step of a slice; undefined for those not given. */
type Bounds = readonly (number | undefined)[];

/** The items that Python's `value[start:stop:step]` takes of `length` items: `count` of them, from `start` in steps of `step`. */
export function slicePositions(length: number, bounds: Bounds): { start: number; step: number; count: number } {
  const step = bounds[2] ?? 1;
  if (step === 0) throw new TemplateFault('slice step cannot be zero');
  const [lowest, highest] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (bound: number): number => Math.min(Math.max(bound < 0 ? bound + length : bound, lowest), highest);
  const start = bounds[0] === undefined ? (step > 0 ? lowest : highest) : clamp(bounds[0]);
  const stop = bounds[1] === undefined ? (step > 0 ? highest : lowest) : clamp(bounds[1]);
  return { start, step, count: Math.max(0, Math.ceil((stop - start) / step)) };
}

/** The code points of a text, each as a text. */
export function characters(text: string, budget: Budget): string[] {
  budget.spendCharacters(text.length);
  return Array.from(text);
}

/** The number of code points of a text: its length in Python. */
export function codePoints(text: string): number {
  if (!hasPairs(text)) return text.length;
  let pairs = 0;
  for (let i = 0; i + 1 < text.length; i++) if (text.codePointAt(i)! > 0xffff) pairs += 1;
  return text.length - pairs;
}

/** Python's `text[start:stop:step]`. */
export function substring(text: string, bounds: Bounds, budget: Budget): string {
  budget.spendText(text.length);
  const length = codePoints(text);
  const { start, step, count } = slicePositions(length, bounds);
  if (step === 1) {
    if (length === text.length) return text.slice(start, start + count);
    const from = unitOffset(text, start, 0);
    return text.slice(from, unitOffset(text, count, from));
  }
  const all = characters(text, budget);
  return Array.from({ length: count }, (_, i) => all[start + i * step]).join('');
}

/** Python's `text[index]`; undefined when out of range. */
export function characterAt(text: string, index: number, budget: Budget): string | undefined {
  budget.spendText(text.length);
  const at = index < 0 ? index + codePoints(text) : index;
  const offset = at < 0 ? text.length : unitOffset(text, at, 0);
  return offset < text.length ? String.fromCodePoint(text.codePointAt(offset)!) : undefined;
}

/** The offset in UTF-16 units of the code point that is `count` code points after the one at `from`. */
function unitOffset(text: string, count: number, from: number): number {
  let at = from;
  for (let i = 0; i < count && at < text.length; i++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return at;
}

/** Whether a text has surrogate pairs. Without them, UTF-16 units are code points. */
const hasPairs = (text: string): boolean => /[\ud800-\udbff]/.test(text);
