/** Nodes are numbers, the root is 0; edges are units of text: UTF-16 units or code points. */
const UNITS = 2 ** 21;

/** A tree of texts, for finding those that a longer text goes on with. */
export class Trie<T> {
  /** `node * UNITS + unit` to the node there: one map is a tenth of the memory of one for each node. */
  readonly #edges = new Map<number, number>();
  readonly #values: (T | undefined)[] = [undefined];

  /** How many nodes there are: at most one more than the units of all texts. */
  get size(): number {
    return this.#values.length;
  }

  /** A later value takes the place of an earlier one of the same text. */
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

  /** The node that a unit leads to; undefined where no text goes on with it. */
  next(node: number, unit: number): number | undefined {
    return this.#edges.get(node * UNITS + unit);
  }

  /** The value of the text that ends in this node, if one does. */
  value(node: number): T | undefined {
    return this.#values[node];
  }
}
