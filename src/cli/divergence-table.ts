import { alignedRows } from '../bench/write/aligned-rows.ts';
import type { ComparedHook } from '../inspect/divergence/compare-hook.ts';
import type { Divergence } from '../inspect/divergence/first-divergence.ts';
import { show } from '../tensor/shape.ts';
import { oneLine } from './printable.ts';

/** Hooks of a table: those after a divergence may be many. */
const MOST_ROWS = 20;

/** What a table shows. */
export interface TableOptions {
  /** All hooks, and not only those that differ by more than rounding explains. */
  readonly all: boolean;
  /** The text of a token, where it is known. */
  readonly tokenText?: ((id: number) => string) | undefined;
}

/** A comparison as text: one line about its extent, then a line for each hook. */
export function divergenceTable({ hooks, tokens, onlyIn }: Divergence, { all, tokenText }: TableOptions): string {
  const shown = all ? hooks : hooks.filter(({ isBeyond, choice }) => isBeyond || choice).slice(0, MOST_ROWS);
  const only = (['a', 'b'] as const).flatMap((side) =>
    onlyIn[side].length > 0 ? [`${onlyIn[side].length} are only in ${side}`] : [],
  );
  const lines = [`${[`${hooks.length} hooks compared`, ...only].join(', ')}; ${tokens.length} tokens`];
  if (shown.length > 0) {
    const isExact = shown.some(({ errors }) => errors);
    const head = [
      'hook',
      'differs by',
      'explained',
      ...(isExact ? ['a off by', 'b off by'] : []),
      'a',
      'b',
      'ulp',
      'at',
      'token',
    ];
    lines.push(...alignedRows([head, ...shown.map((hook) => row(hook, isExact, tokenText))]));
  }
  return `${lines.join('\n')}\n`;
}

function row(found: ComparedHook, isExact: boolean, tokenText: TableOptions['tokenText']): string[] {
  const { hook, relative, allowed, values, ulps, at, position, token, errors, otherShape, shape } = found;
  const errorCells = isExact ? [errors ? size(errors.a) : '', errors ? size(errors.b) : ''] : [];
  if (otherShape) return [hook, 'shape', size(allowed), ...errorCells, show(shape), show(otherShape), '', '', ''];
  if (relative === 0) return [hook, '0', size(allowed), ...errorCells, '', '', '', '', ''];
  const text = token === undefined || tokenText === undefined ? '' : ` ${JSON.stringify(tokenText(token))}`;
  const where = position === undefined ? '' : oneLine(`${position}${text}`);
  return [hook, size(relative), size(allowed), ...errorCells, ...values.map(number), count(ulps), show(at), where];
}

const size = (relative: number): string =>
  relative === 0 ? '0' : Number.isFinite(relative) ? relative.toExponential(1) : 'all';
const number = (value: number): string => String(Number(value.toPrecision(6)));
const count = (ulps: number): string => (Number.isFinite(ulps) ? Math.round(ulps).toLocaleString('en-US') : '');
