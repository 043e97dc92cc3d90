/** More than any unit of text: UTF-16 unit or code point. */
const UNITS = 2 ** 21;

/** A prefix tree from texts to values. A text is a sequence of units, a node is a number, and the root is 0. */
export class Trie<T> {
  /** The child of each node by unit, under `node * UNITS + unit`. One map takes a tenth of the memory of one per node. */
  readonly #edges = new Map<number, number>();
  readonly #values: (T | undefined)[] = [undefined];

  /** The number of nodes: at most one more than the units of all texts. */
  get size(): number {
    return this.#values.length;
  }

  /** Adds a text, or replaces its value. */
  set(units: Iterable<number>, value: T): void {
    let node = 0;
    for (const unit of units) {
      const edge = node * UNITS + unit;
      let next = this.#edges.get(edge);
      if (next === undefined) {
        next = this.#values.push(undefined) - 1;
        this.#edges.set(edge, next);
      }
      node = next;
    }
    this.#values[node] = value;
  }

  /** The child of a node by a unit; undefined when there is none. */
  next(node: number, unit: number): number | undefined {
    return this.#edges.get(node * UNITS + unit);
  }

  /** The value of the text that ends at a node; undefined when none does. */
  value(node: number): T | undefined {
    return this.#values[node];
  }
}
