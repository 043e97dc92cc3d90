import { expect, it } from 'vitest';
import { attributionPatching, liveTensors, load, scope, Tensor } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

const [CLEAN, CORRUPT] = [
  [5, 9, 3, 200, 17],
  [5, 9, 8, 200, 17],
];
const of = (logits: Tensor): Tensor => logits.slice([0, 5], [1, 1]).sub(logits.slice([0, 9], [1, 1]));

it('attribution patching is the slope of patching: of a small part of the way, in f64, the effect of each patch', async () => {
  using model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference-f64' });
  const before = liveTensors();
  const { clean, corrupt, grids } = attributionPatching(model, { clean: CLEAN, corrupt: CORRUPT, of });
  expect(Object.keys(grids)).toEqual(['hook_resid_pre', 'hook_attn_out', 'hook_mlp_out', 'attn.hook_z']);
  const valueOf = (tokens: readonly number[], edit = {}): number => {
    using run = model.run(tokens, { edit, rows: 'last' });
    return scope('', () => of(run.logits).data64()[0]);
  };
  expect(clean).toBe(valueOf(CLEAN));
  expect(Math.abs(corrupt - valueOf(CORRUPT))).toBeLessThan(1e-12);
  const PART = 1e-6;
  for (const [hook, { values, shape, columns }] of Object.entries(grids)) {
    expect(shape).toEqual(hook === 'attn.hook_z' ? [2, model.config.nHeads] : [2, 5]);
    const most = Math.max(...values.map(Math.abs));
    for (const layer of [0, 1]) {
      const name = `blocks.${layer}.${hook}`;
      using source = model.run(CLEAN, { capture: [name] });
      const target = source.acts[name].data64();
      for (let column = 0; column < shape[1]; column++) {
        const patch = (x: Tensor): Tensor => {
          const width = x.shape.at(-1)!;
          const own = x.data64();
          const patched = own.map((v, i) => {
            const place = Math.floor(i / width);
            const isThere = columns === 'head' ? place % shape[1] === column : place === column;
            return isThere ? v + PART * (target[i] - v) : v;
          });
          return Tensor.from(x.backend, patched, x.shape);
        };
        const effect = (valueOf(CORRUPT, { [name]: patch }) - corrupt) / PART;
        expect(Math.abs(values[layer * shape[1] + column] - effect), `${name} ${column}`).toBeLessThan(1e-4 * most);
      }
    }
  }
  expect(liveTensors()).toBe(before);
});

it('attribution patching refuses prompts of different lengths, and hooks that have no rows', async () => {
  using model = await load(modelFolder('llama_gqa_tied'));
  const before = liveTensors();
  expect(() => attributionPatching(model, { clean: CLEAN, corrupt: CORRUPT.slice(1), of })).toThrow(
    'attributionPatching: expected prompts of as many tokens, got 5 and 4.',
  );
  const asked = (hook: string) => () =>
    attributionPatching(model, { clean: CLEAN, corrupt: CORRUPT, of, hooks: [hook] });
  expect(asked('attn.hook_pattern')).toThrow(
    'attributionPatching: expected a hook with a row for each position, got attn.hook_pattern (axes h p t).',
  );
  expect(asked('hook_nothing')).toThrow('This model has no hook "blocks.*.hook_nothing".');
  expect(liveTensors()).toBe(before);
});
