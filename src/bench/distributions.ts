/** How the activations of a case are drawn. `recorded`: what a real run of the model had there. */
export const DISTRIBUTIONS = ['normal', 'outliers', 'denormal', 'recorded'] as const;
export type Distribution = (typeof DISTRIBUTIONS)[number];
