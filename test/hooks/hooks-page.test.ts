import { format, resolveConfig } from 'prettier';
import { beforeAll, expect, it } from 'vitest';
import { planNetwork } from '../../src/engine/load/plan-network.ts';
import { samplerHooks } from '../../src/engine/generate/choose-token.ts';
import { genericName } from '../../src/hooks/hook-registry.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import type { Hook } from '../../src/tensor/hook-point.ts';
import { MIXTURES, MODELS, modelFolder } from '../support/fixtures.ts';

/** A hook point of all models: the layers are N, experts J. */
interface Row {
  readonly axes: Set<string>;
  readonly meanings: Set<string>;
  readonly edits: Set<string>;
  readonly only: Set<string>;
  readonly types: Set<string>;
}

const code = (text: string): string => `\`${text}\``;

function editsOf({ readOnly, derived, zerosBy }: Hook): string {
  const alternatives = (names: readonly string[]): string => names.map(code).join(' or ');
  if (readOnly) return `no: edit ${alternatives(readOnly.instead)}${readOnly.or ? `, or ${readOnly.or}` : ''}`;
  if (zerosBy) return `yes, where it is not 0; else edit ${alternatives(zerosBy)}`;
  return derived ? 'yes; computed only for observers' : 'yes';
}

/** `all`, `all but a, b`, or the types that have it. */
function modelTypes(having: ReadonlySet<string>, all: ReadonlySet<string>): string {
  const lacking = [...all].filter((type) => !having.has(type)).sort();
  if (lacking.length === 0) return 'all';
  return lacking.length <= 4 ? `all but ${lacking.join(', ')}` : [...having].sort().join(', ');
}

/** All hook points of the fixture models in the order of the pass, and of the sampler. */
const rows = new Map<string, Row>();
/** Their names in the order of the pass: a hook that is new in a model goes behind the one before it there. */
const order: string[] = [];
const types = new Set<string>();

function add(hook: Hook, modelType: string, after: number): number {
  const name = genericName(hook.name);
  if (!rows.has(name)) order.splice(after + 1, 0, name);
  const row = rows.get(name) ?? {
    axes: new Set(),
    meanings: new Set(),
    edits: new Set(),
    only: new Set(),
    types: new Set(),
  };
  rows.set(name, row);
  row.axes.add(hook.axes);
  row.meanings.add(hook.meaning);
  row.edits.add(editsOf(hook));
  if (hook.only !== undefined) row.only.add(hook.only);
  row.types.add(modelType);
  types.add(modelType);
  return order.indexOf(name);
}

beforeAll(async () => {
  for (const model of [...MODELS, ...MIXTURES]) {
    const files = await openFolder(modelFolder(model));
    await files.checkpoint.close();
    for (const mla of ['absorbed', 'naive'] as const) {
      const { config, hooks } = planNetwork(files, { mla }).network;
      hooks.reduce((after, hook) => add(hook, config.modelType, after), -1);
    }
  }
  for (const type of types) for (const hook of samplerHooks(1)) add(hook, type, order.length);
});

it('a hook point that some models lack says which layers or models have it', () => {
  for (const [name, { only, types: having }] of rows)
    expect(only.size, `${name} of ${[...having].join(', ')}`).toBe(having.size < types.size ? 1 : only.size && 1);
});

it('src/hooks/hook-names.ts has the names that the architectures declare, for the compiler and for messages', async () => {
  const path = new URL('../../src/hooks/hook-names.ts', import.meta.url).pathname;
  const entry = (name: string): string => {
    const { axes, only, types: having } = rows.get(name)!;
    const where = [...only].map(
      (layers) => `, only: ${JSON.stringify(layers)}, in: ${JSON.stringify(modelTypes(having, types))}`,
    );
    return `${JSON.stringify(name.replace('blocks.N.', ''))}: { axes: ${JSON.stringify([...axes])}${where.join('')} },`;
  };
  const table = (title: string, constant: string, inBlock: boolean): string[] => [
    `/** ${title} */`,
    `export const ${constant} = {`,
    ...order.filter((name) => name.startsWith('blocks.') === inBlock).map(entry),
    '} as const;',
    '',
  ];
  const text = [
    '// Written by test/hooks/hooks-page.test.ts from the declarations of all parts: npx vitest run test/hooks/hooks-page.test.ts -u',
    '',
    ...table(
      'Hook points outside of blocks: axes, and where only some models have it, which do.',
      'GLOBAL_HOOKS',
      false,
    ),
    ...table(
      'Hook points of a block, by their names under `blocks.N`; J is the index of an expert.',
      'BLOCK_HOOKS',
      true,
    ),
  ];
  const settings = { ...(await resolveConfig(path)), filepath: path };
  await expect(await format(text.join('\n'), settings)).toMatchFileSnapshot(path);
});

it('docs/hooks.md lists the hook points that the architectures declare', async () => {
  const inGroup: readonly (readonly [title: string, holds: (name: string) => boolean])[] = [
    ['Outside of blocks', (name) => !/^(blocks|sampler)\./.test(name)],
    ['On the residual stream of block N', (name) => /^blocks\.N\.(hook|ln)/.test(name)],
    ['Attention of block N', (name) => /^blocks\.N\.(attn|kv)/.test(name)],
    ['MLP or mixture of block N', (name) => name.startsWith('blocks.N.mlp.')],
    ['Of the sampler, while `generate` runs', (name) => name.startsWith('sampler.')],
  ];
  const table = (names: readonly string[]): string[] => [
    '| hook | axes | meaning | edit | in |',
    '| --- | --- | --- | --- | --- |',
    ...names.map((name) => {
      const row = rows.get(name)!;
      const having = modelTypes(row.types, types);
      const where = [...row.only, ...(having === 'all' && row.only.size > 0 ? [] : [having])].join(': ');
      return `| ${code(name)} | ${[...row.axes].map(code).join(', ')} | ${[...row.meanings].join('; or: ')} | ${[...row.edits].join('; or: ')} | ${where} |`;
    }),
    '',
  ];
  const page = [
    '# Hook points',
    '',
    'Each activation that a model shows has a name, axes and a meaning, declared by the part that computes it. `model.hooks` lists',
    'the names of a loaded model in the order of the pass, and `model.hookPoints` has axes and meaning. Names are',
    "TransformerLens' where it has them. `test/hooks/hooks-page.test.ts` writes this page from the declarations",
    '(`npx vitest run test/hooks/hooks-page.test.ts -u`).',
    '',
    'Axes: `p` new positions, `t` key positions (absolute), `l` rows whose logits are asked for, `d` model width, `h` query heads,',
    '`g` key/value heads, `e` head width (`e_v` that of values, `e_n` and `e_r` its parts without rotation and with it), `r_q` and',
    '`r_kv` ranks of latents, `f` width of the MLP or expert, `E` experts, `k` experts per token, `V` vocabulary, `n` any number.',
    '"In" says which layers have a hook, and names the model types that have such layers; "all" are all.',
    '',
    ...inGroup.flatMap(([title, holds]) => [`## ${title}`, '', ...table(order.filter(holds))]),
  ];
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/hooks.md');
});
