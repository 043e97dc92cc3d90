import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '../../src/index.ts';
import { shapeOf } from '../../src/hooks/axes.ts';
import { MODEL_FORMS, modelFolder } from '../support/fixtures.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);

describe.each(MODEL_FORMS)('every hook of %s, %s', (name, mla) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder(name), { backend: 'reference', mla });
    return () => {
      model.dispose();
    };
  });

  it('is shown, in the order of the list, with the axes and sizes that it declares', () => {
    using cache = model.newCache();
    model.forward(TOKENS.slice(0, 5), { cache }).dispose();
    using run = model.run(TOKENS.slice(5), { cache, capture: ['**'], rows: 'last' });
    const sizes = { positions: TOKENS.length - 5, keys: TOKENS.length, logitRows: 1 };
    expect(Object.keys(run.acts)).toEqual(model.hooks);
    for (const [hook, point] of model.hookPoints) {
      const value = run.acts[hook];
      const shape = shapeOf(point, model.config, sizes).map((size, axis) => size ?? value.shape[axis]);
      expect(value.shape, hook).toEqual(shape);
      expect(value.axes, hook).toBe(point.axes);
    }
  });

  it('has a size for each of its axes but those that only a pass tells', () => {
    for (const point of model.hookPoints.values()) {
      const unknown = point.axes
        .split(' ')
        .filter((_, i) => shapeOf(point, model.config, { positions: 3 })[i] === undefined);
      expect(
        unknown.filter((axis) => axis !== 'n'),
        point.name,
      ).toEqual([]);
    }
  });
});
