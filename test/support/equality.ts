import { expect } from 'vitest';

const isTypedArray = (value: unknown): value is Float32Array =>
  ArrayBuffer.isView(value) && !(value instanceof DataView) && !(value instanceof BigInt64Array);

// `toEqual` compares typed arrays as objects, property by property, which takes a hundred times as long as their numbers do. The rule is
// its own: same type, same length, NaN is NaN, and 0 is not -0.
expect.addEqualityTesters([
  (a: unknown, b: unknown): boolean | undefined => {
    if (!isTypedArray(a) || !isTypedArray(b) || a.constructor !== b.constructor) return undefined;
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
    return true;
  },
]);
