import type { Model } from 'vitrine';

/** Token ids all over the vocabulary, always the same. */
export const promptOf = ({ config: { vocabSize } }: Model, length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 7919) % vocabSize);
