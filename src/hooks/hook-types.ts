import type { BLOCK_HOOKS, GLOBAL_HOOKS } from './hook-names.ts';

type GlobalTable = typeof GLOBAL_HOOKS;
type BlockTable = typeof BLOCK_HOOKS;

/** A hook outside of blocks. */
export type GlobalHook = keyof GlobalTable;
/** A hook of a block, by its name under `blocks.N`. */
export type BlockHook = Numbered<keyof BlockTable>;
/** The name of a hook that some model has. */
export type HookName = GlobalHook | `blocks.${number}.${BlockHook}`;
/** A hook in all layers that have it. */
export type LayerGlob = `blocks.*.${BlockHook}`;

/** With a number in the place of J, for the experts. */
type Numbered<Name> = Name extends `${infer Before}.J.${infer After}` ? `${Before}.${number}.${After}` : Name;
type Unnumbered<Name> = Name extends `${infer Before}.experts.${number}.${infer After}`
  ? `${Before}.experts.J.${After}`
  : Name;

/**
 * The axes of a hook, a letter each as in `HookPoint`: `h p t` of `blocks.5.attn.hook_pattern`, `layer h p t` of all layers' patterns.
 * Where the families differ, all that they have; `string` where the name is not known.
 */
export type AxesOf<Name extends string> = Name extends GlobalHook
  ? GlobalTable[Name]['axes'][number]
  : Name extends `blocks.*.${infer Hook}`
    ? `layer ${BlockAxes<Hook>}`
    : Name extends `blocks.${number}.${infer Hook}`
      ? BlockAxes<Hook>
      : string;

type BlockAxes<Hook> =
  Unnumbered<Hook> extends infer Known extends keyof BlockTable ? BlockTable[Known]['axes'][number] : string;

/**
 * The name itself, where it may be that of a hook, or a glob; else what no name is, so that one that is misspelt does not compile.
 * Names that are known at run time only, such as a `string`, are taken as they are.
 */
export type Checked<Name extends string> = Name extends HookName | LayerGlob
  ? Name
  : IsText<Name> extends false
    ? CheckedPattern<Name>
    : Name extends `blocks.*.${infer Hook}`
      ? WithStar<Hook, Name>
      : WithStar<Name, Name>;

/** What the compiler names where a hook's name is misspelt. */
export interface NoSuchHook<Name> {
  readonly 'there is no hook': Name;
}

type WithStar<Text extends string, Name> = Text extends `${string}*${string}` ? Name : NoSuchHook<Name>;

/** A name whose layer alone is not known to the compiler is checked as well. */
type CheckedPattern<Name extends string> = Name extends `blocks.${number}.${infer Hook}`
  ? IsText<Hook> extends true
    ? NoSuchHook<Name>
    : Name
  : Name;

/** Whether a type is one text, and not a pattern such as `string`. */
type IsText<Name extends string> = Record<'', unknown> extends Record<Name, unknown> ? false : true;

/** The keys of the activations that a name or glob asks for; a pattern, where a glob says more than the layers. */
export type KeyOf<Name extends string> = Name extends HookName | LayerGlob ? Name : Pattern<Name>;

type Pattern<Name extends string> = Name extends `${infer Before}*${infer After}`
  ? `${Before}${string}${Pattern<After>}`
  : Name;
