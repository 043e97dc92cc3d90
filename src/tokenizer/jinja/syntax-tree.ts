import type { Value } from './python-values.ts';

/** A statement of a template. `capture` is `set` with a block, and `text` is text outside of tags. */
export type Statement =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'print'; readonly value: Expression; readonly line: number }
  | {
      readonly type: 'if';
      readonly test: Expression;
      readonly body: Body;
      readonly otherwise: Body;
      readonly line: number;
    }
  | {
      readonly type: 'for';
      readonly target: Target;
      readonly items: Expression;
      /** Items for which it is false are left out of the loop. */
      readonly condition: Expression | undefined;
      readonly body: Body;
      /** The body that runs when there are no items. */
      readonly otherwise: Body;
      readonly recursive: boolean;
      readonly line: number;
    }
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression; readonly line: number }
  | {
      readonly type: 'capture';
      readonly target: Target;
      readonly filters: readonly FilterCall[];
      readonly body: Body;
      readonly line: number;
    }
  | { readonly type: 'macro'; readonly name: string; readonly macro: Macro; readonly line: number }
  | { readonly type: 'call'; readonly call: Expression; readonly macro: Macro; readonly line: number }
  | { readonly type: 'filter'; readonly filters: readonly FilterCall[]; readonly body: Body; readonly line: number }
  | {
      readonly type: 'with';
      readonly variables: readonly (readonly [Target, Expression])[];
      readonly body: Body;
      readonly line: number;
    }
  | { readonly type: 'break' | 'continue'; readonly line: number };

/** Statements in order. */
export type Body = readonly Statement[];

/** The parameters, with defaults, and the body of a macro or a `call` block. */
export interface Macro {
  readonly parameters: readonly { readonly name: string; readonly otherwise: Expression | undefined }[];
  readonly body: Body;
}

/** A target of an assignment: a variable, an attribute of a namespace, or several targets. */
export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'attribute'; readonly of: string; readonly name: string }
  | { readonly type: 'targets'; readonly targets: readonly Target[] };

/** The arguments of a call, before evaluation. */
export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** The list in `*more`. */
  readonly more: Expression | undefined;
  /** The dict in `**more`. */
  readonly moreNamed: Expression | undefined;
}

/** A filter or a test with its arguments. */
export interface FilterCall {
  readonly name: string;
  readonly args: CallArguments;
}

/** An expression of a template. `choice` is the inline `if`, `apply` a filter, `invoke` a call. */
export type Expression =
  | { readonly type: 'constant'; readonly value: Value }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly type: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly type: 'item'; readonly of: Expression; readonly key: Expression }
  | { readonly type: 'slice'; readonly of: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly type: 'invoke'; readonly callee: Expression; readonly args: CallArguments }
  | { readonly type: 'apply'; readonly value: Expression; readonly filter: FilterCall }
  | { readonly type: 'test'; readonly value: Expression; readonly test: FilterCall }
  | { readonly type: 'not'; readonly value: Expression }
  | { readonly type: 'sign'; readonly sign: '-' | '+'; readonly value: Expression }
  | {
      readonly type: 'arithmetic';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly type: 'concat'; readonly parts: readonly Expression[] }
  | {
      readonly type: 'compare';
      readonly first: Expression;
      readonly rest: readonly { readonly operator: string; readonly value: Expression }[];
    }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly type: 'choice';
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    };
