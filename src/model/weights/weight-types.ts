import type { BlockWeight, GlobalWeight } from './weight-names.ts';

export type { BlockWeight, GlobalWeight } from './weight-names.ts';

/** The name of a weight that some model may have. */
export type WeightName = GlobalWeight | `blocks.${number}.${BlockWeight}`;

/**
 * The type of a name that may be that of a weight, so that one that is misspelt does not compile. Names that are known at run
 * time only, such as a `string`, are taken as they are.
 */
export type CheckedWeight<Name extends string> = string extends Name
  ? Name
  : Name extends WeightName
    ? Name
    : Name extends `blocks.${infer _Layer}.${infer Weight}`
      ? Weight extends BlockWeight
        ? Name
        : NoSuchWeight<Name>
      : NoSuchWeight<Name>;

/** What the compiler names where a weight's name is misspelt. */
export interface NoSuchWeight<Name> {
  readonly 'there is no weight': Name;
}
