import { describe, expect, it } from 'vitest';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import { weightShape } from '../../../src/model/weights/weight-table.ts';
import { chain, part, permuted, split, type View, WHOLE } from '../../../src/model/weights/view.ts';
import { createBackend } from '../../../src/tensor/backends.ts';
import { elements } from '../../../src/tensor/dtype.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { MIXTURES, MODELS, modelFolder } from '../../support/fixtures.ts';

describe('the weights that parts declare', () => {
  it.each([...MODELS, ...MIXTURES])('%s: are all numbers of all parameters, each once', async (name) => {
    const files = await openFolder(modelFolder(name));
    await files.checkpoint.close();
    for (const mla of ['absorbed', 'naive'] as const) {
      const { network, requests } = planNetwork(files, { mla });
      const declared = network.weightPoints.filter((one) => 'parameter' in one);
      const names = declared.map((point) => point.name);
      expect(names.length).toBe(new Set(names).size);
      const counts = new Map<unknown, number>();
      for (const point of declared)
        counts.set(point.parameter, (counts.get(point.parameter) ?? 0) + elements(weightShape(point)));
      for (const { parameter } of requests)
        expect(counts.get(parameter), parameter.name).toBe(elements(parameter.shape));
      expect(network.weightPoints.filter((one) => 'absence' in one && names.includes(one.name))).toEqual([]);
    }
  });
});

describe('views', () => {
  const backend = createBackend('reference');
  const whole = Float32Array.from({ length: 24 }, (_, i) => i);
  const cases: [string, View, number[], number[], number[]][] = [
    ['all of it', WHOLE, [2, 3], [2, 3], [0, 1, 2, 3, 4, 5]],
    ['rows', part(0, 1, 2), [4, 2], [2, 2], [2, 3, 4, 5]],
    ['columns', part(1, 1, 1), [3, 2], [3, 1], [1, 3, 5]],
    ['transposed', permuted([1, 0]), [2, 3], [3, 2], [0, 3, 1, 4, 2, 5]],
    ['axes in a circle', permuted([1, 2, 0]), [2, 3, 1], [3, 1, 2], [0, 3, 1, 4, 2, 5]],
    [
      'heads of some rows',
      chain(part(0, 2, 4), split(0, 2), permuted([0, 2, 1])),
      [6, 2],
      [2, 2, 2],
      [4, 6, 5, 7, 8, 10, 9, 11],
    ],
    ['the second row of each head', chain(split(0, 2), part(1, 1, 1)), [4, 2], [2, 1, 2], [2, 3, 6, 7]],
  ];

  it.each(cases)('%s: what is read has the shape that is told, and writes back', (_, view, shape, seenShape, seen) => {
    expect(view.shapeOf(shape)).toEqual(seenShape);
    const [read, same, other] = scope('', () => {
      const all = Tensor.from(backend, whole.slice(0, elements(shape)), shape);
      const inside = view.read(all);
      expect(inside.shape).toEqual(seenShape);
      return [inside.data(), view.write(all, inside).data(), view.write(all, inside.mul(-1).sub(100)).data()];
    });
    expect([...read]).toEqual(seen);
    expect([...same]).toEqual([...whole.slice(0, elements(shape))]);
    expect([...other]).toEqual([...same].map((x) => (seen.includes(x) ? -x - 100 : x)));
  });
});
