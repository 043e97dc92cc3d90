import { ShapeError } from '../../errors.ts';
import { checkArgument, TEXT } from '../../options.ts';
import { elements } from '../dtype.ts';
import { scope } from '../scope.ts';
import { broadcastShapes, type Shape, show, stridesOf } from '../shape.ts';
import { type Tensor, TENSORS } from '../tensor.ts';

/** A name for each axis: its letter, or, of the axes of `...`, their place counted from the last: `.1`, `.2`. */
type Names = readonly string[];

interface Named {
  readonly x: Tensor;
  readonly names: Names;
}

/**
 * Einstein's summation: `einsum('hpt,the->phe', pattern, v)`. A letter names an axis; letters that the result does not have
 * are summed over. `...` stands for axes that broadcast. Without `->` the result has the axes of `...`, then the letters that
 * occur once, in alphabetical order. Operands are taken from left to right, two at a time, by one batched matrix product.
 *
 * @param equation As numpy's `einsum` takes it; spaces do not count.
 * @throws {ShapeError} for an equation that does not fit the operands, and for a letter with two sizes.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  checkArgument('einsum', 'the equation', equation, TEXT);
  checkArgument('einsum', 'the operands', operands, TENSORS);
  return scope('', () => {
    const { inputs, output } = parse(equation, operands);
    const [first, ...others] = inputs.map(diagonal);
    const product = others.reduce((left, right, i) => {
      const later = others.slice(i + 1).flatMap(({ names }) => names);
      return contract(left, right, [...output, ...later]);
    }, first);
    return ordered(summed(product, output), output).x;
  });
}

/** The operands with the names of their axes, and the names of the result's. */
function parse(equation: string, operands: readonly Tensor[]): { inputs: Named[]; output: Names } {
  const refuse = (expected: string): never => {
    const shapes = operands.map(({ shape }) => show(shape)).join(', ');
    throw new ShapeError(`einsum: expected ${expected}, got "${equation}" for ${shapes}.`);
  };
  const [left, ...results] = equation.replaceAll(' ', '').split('->');
  const result = results.at(0);
  const terms = left.split(',');
  const isTerm = (term: string): boolean => /^[a-z]*(\.\.\.)?[a-z]*$/i.test(term);
  if (results.length > 1 || !terms.every(isTerm) || !isTerm(result ?? ''))
    return refuse('letters for each operand, such as "ij,jk->ik"');
  if (terms.length !== operands.length) return refuse(`letters for ${operands.length} operands`);
  const named = terms.map((term, i) => {
    const { length: rank } = operands[i].shape;
    const letters = term.replace('...', '').length;
    if (letters > rank || (letters < rank && !term.includes('...')))
      return refuse(`a letter for each axis of operand ${i}`);
    return { x: operands[i], names: namesOf(term, rank - letters) };
  });
  const inputs = broadcastDots(named);
  checkSizes(inputs, refuse);
  const all = inputs.flatMap(({ names }) => names);
  const most = new Set(all.filter(isDot)).size;
  const once = all.filter((name, i) => !isDot(name) && all.indexOf(name) === i && all.lastIndexOf(name) === i);
  const output = result === undefined ? [...namesOf('...', most), ...once.sort()] : namesOf(result, most);
  if (new Set(output).size < output.length || !output.every((name) => all.includes(name)))
    return refuse('a result of letters that operands have, each once');
  return { inputs, output };
}

const isDot = (name: string): boolean => name.startsWith('.');

const namesOf = (term: string, dots: number): string[] => {
  const [before, after] = term.includes('...') ? term.split('...') : [term, ''];
  const middle = term.includes('...') ? Array.from({ length: dots }, (_, i) => `.${dots - i}`) : [];
  return [...before.split(''), ...middle, ...after.split('')];
};

/** Gives the axes of `...` the sizes to which they broadcast. */
function broadcastDots(operands: readonly Named[]): Named[] {
  const sizes = operands.map(({ x, names }) => x.shape.filter((_, axis) => isDot(names[axis])));
  const common = sizes.reduce<Shape>((shape, own) => broadcastShapes('einsum', shape, own), []);
  return operands.map(({ x, names }) => {
    const shape = x.shape.map((size, axis) => (isDot(names[axis]) ? common.at(-Number(names[axis].slice(1)))! : size));
    return { x: x.broadcastTo(shape), names };
  });
}

function checkSizes(inputs: readonly Named[], refuse: (expected: string) => never): void {
  const sizes = new Map<string, number>();
  for (const { x, names } of inputs) {
    names.forEach((name, axis) => {
      const known = sizes.get(name) ?? x.shape[axis];
      if (known !== x.shape[axis]) refuse(`one size for "${name}", not ${known} and ${x.shape[axis]}`);
      sizes.set(name, known);
    });
  }
}

/** Takes the diagonal where a letter stands twice: `ii` becomes `i`. */
function diagonal({ x, names }: Named): Named {
  const own = [...new Set(names)];
  if (own.length === names.length) return { x, names };
  const strides = stridesOf(x.shape);
  const steps = own.map((name) => strides.reduce((sum, stride, axis) => sum + (names[axis] === name ? stride : 0), 0));
  const shape = own.map((name) => x.shape[names.indexOf(name)]);
  const inner = stridesOf(shape);
  const places = Int32Array.from({ length: elements(shape) }, (_, i) =>
    steps.reduce((sum, step, axis) => sum + step * (Math.floor(i / inner[axis]) % shape[axis]), 0),
  );
  return { x: x.reshape([-1]).gather(places).reshape(shape), names: own };
}

/** The product of two operands, summed over the axes that are not in `kept`. */
function contract(a: Named, b: Named, kept: Names): Named {
  const left = summed(a, [...kept, ...b.names]);
  const right = summed(b, [...kept, ...a.names]);
  const shared = left.names.filter((name) => right.names.includes(name));
  const batch = shared.filter((name) => kept.includes(name));
  const inner = shared.filter((name) => !kept.includes(name));
  const rows = left.names.filter((name) => !shared.includes(name));
  const columns = right.names.filter((name) => !shared.includes(name));
  const sizes = new Map([left, right].flatMap(({ x, names }) => names.map((name, axis) => [name, x.shape[axis]])));
  const shapeOf = (names: Names): number[] => names.map((name) => sizes.get(name)!);
  const [B, M, K, N] = [batch, rows, inner, columns].map((names) => elements(shapeOf(names)));
  const { x } = ordered(left, [...batch, ...rows, ...inner]);
  const { x: y } = ordered(right, [...batch, ...columns, ...inner]);
  const product =
    inner.length === 0
      ? x.reshape([B, M, 1]).mul(y.reshape([B, 1, N]))
      : x.reshape([B, M, K]).matmul(y.reshape([B, N, K]), { transposeB: true });
  const names = [...batch, ...rows, ...columns];
  return { x: product.reshape(shapeOf(names)), names };
}

/** Sums over the axes that are not in `kept`. */
function summed({ x, names }: Named, kept: Names): Named {
  const axes = names.flatMap((name, axis) => (kept.includes(name) ? [] : [axis]));
  return axes.length === 0 ? { x, names } : { x: x.sum(axes), names: names.filter((name) => kept.includes(name)) };
}

const ordered = ({ x, names: from }: Named, names: Names): Named => ({
  x: x.transpose(names.map((name) => from.indexOf(name))),
  names,
});
