import { readFileSync } from 'node:fs';

interface Fixture {
  readonly cases: readonly {
    readonly seed: number;
    readonly params: Readonly<Record<string, number>>;
    readonly previous_ids: readonly number[];
    readonly logits: readonly number[];
    readonly probs: readonly number[];
  }[];
}
const fixture = JSON.parse(readFileSync(new URL('../fixtures/sampling.json', import.meta.url), 'utf8')) as Fixture;
const camelCase = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Distributions that transformers' samplers make of logits; `options` are its parameters by our names. */
export const samplingCases = fixture.cases.map((one, i) => ({
  ...one,
  name: `${i}: ${JSON.stringify(one.params)}`,
  options: Object.fromEntries(Object.entries(one.params).map(([key, value]) => [camelCase(key), value])),
}));
