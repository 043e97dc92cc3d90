import type { Budget } from './budget.ts';

/** A text that is built within the budget: lists that hold one list several times can be short and print long. */
export class BoundedWriter {
  text = '';
  readonly budget: Budget;
  constructor(budget: Budget) {
    this.budget = budget;
  }

  /** Appends a piece. */
  add(piece: string): void {
    this.budget.spendText(piece.length);
    this.budget.checkLength(this.text.length + piece.length);
    this.budget.spend(1);
    this.text += piece;
  }

  /** Appends items between brackets, with a separator. */
  list<T>(open: string, items: Iterable<T>, close: string, separator: string, write: (item: T) => void): void {
    this.add(open);
    let isFirst = true;
    for (const item of items) {
      if (!isFirst) this.add(separator);
      isFirst = false;
      write(item);
    }
    this.add(close);
  }
}
