/** The distributions of activations: see `Draw`. `recorded` takes them from a real pass of the model. */
export const DISTRIBUTIONS = ['normal', 'outliers', 'denormal', 'recorded'] as const;

/** A distribution of activations. */
export type Distribution = (typeof DISTRIBUTIONS)[number];
