/** The end of the head of a distribution. */
export interface Head {
  /** The smallest key in the head. */
  readonly threshold: number;
  /** Total mass of the keys above the threshold. */
  readonly massAbove: number;
}

/**
 * Finds the head of items in descending order of `keys`: as many as it takes for their `masses` to add up to `target`
 * (above 0), including the item that reaches it; all items where they do not reach it. A quickselect (Hoare, 1961): linear
 * time on average. It reorders both arrays, which have the same length, at least 1, and no NaN.
 */
export function headOfMass(keys: Float64Array, masses: Float64Array, target: number): Head {
  let first = 0;
  let last = keys.length - 1;
  let massAbove = 0;
  for (;;) {
    const pivot = medianOfThree(keys[first], keys[(first + last) >>> 1], keys[last]);
    // A three-way partition: many equal keys, such as those of padding tokens, cost one pass.
    let greater = first;
    let smaller = last;
    let massGreater = 0;
    let massEqual = 0;
    for (let i = first; i <= smaller;) {
      if (keys[i] > pivot) {
        massGreater += masses[i];
        swap(keys, masses, i++, greater++);
      } else if (keys[i] < pivot) {
        swap(keys, masses, i, smaller--);
      } else {
        massEqual += masses[i++];
      }
    }
    if (greater > first && massAbove + massGreater >= target) {
      last = greater - 1;
    } else if (smaller === last || massAbove + massGreater + massEqual >= target) {
      return { threshold: pivot, massAbove: massAbove + massGreater };
    } else {
      massAbove += massGreater + massEqual;
      first = smaller + 1;
    }
  }
}

/** The `k`-th largest of `values`, or the smallest where there are fewer than k. */
export function kthLargest(values: Float32Array | Float64Array, k: number): number {
  return headOfMass(new Float64Array(values), new Float64Array(values.length).fill(1), k).threshold;
}

function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

function swap(keys: Float64Array, masses: Float64Array, i: number, j: number): void {
  const key = keys[i];
  const mass = masses[i];
  keys[i] = keys[j];
  masses[i] = masses[j];
  keys[j] = key;
  masses[j] = mass;
}
