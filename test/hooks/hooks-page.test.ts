import { expect, it } from 'vitest';
import { planNetwork } from '../../src/engine/load/plan-network.ts';
import { samplerHooks } from '../../src/engine/generate/choose-token.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import type { Hook } from '../../src/tensor/hook-point.ts';
import { MIXTURES, MODELS, modelFolder } from '../support/fixtures.ts';

interface Row {
  readonly axes: Set<string>;
  readonly meanings: Set<string>;
  readonly edits: Set<string>;
  readonly types: Set<string>;
}

const code = (text: string): string => `\`${text}\``;
const generic = (name: string): string =>
  name.replace(/^blocks\.\d+\./, 'blocks.N.').replace(/experts\.\d+\./, 'experts.J.');

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

/** All hook points of the fixture models, in the order of the pass. */
async function rowsOfModels(): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  const add = (hook: Hook, type: string): void => {
    const name = generic(hook.name);
    const row = rows.get(name) ?? { axes: new Set(), meanings: new Set(), edits: new Set(), types: new Set() };
    rows.set(name, row);
    row.axes.add(hook.axes);
    row.meanings.add(hook.meaning);
    row.edits.add(editsOf(hook));
    row.types.add(type);
  };
  for (const model of [...MODELS, ...MIXTURES]) {
    const files = await openFolder(modelFolder(model));
    await files.checkpoint.close();
    for (const mla of ['absorbed', 'naive'] as const) {
      const { config, hooks } = planNetwork(files, { mla }).network;
      for (const hook of hooks) add(hook, config.modelType);
    }
  }
  return rows;
}

it('docs/hooks.md lists the hook points that the architectures declare', async () => {
  const rows = await rowsOfModels();
  const types = new Set([...rows.values()].flatMap((row) => [...row.types]));
  const inGroup: readonly (readonly [title: string, holds: (name: string) => boolean])[] = [
    ['Outside of blocks', (name) => !name.startsWith('blocks.')],
    ['On the residual stream of block N', (name) => /^blocks\.N\.(hook|ln)/.test(name)],
    ['Attention of block N', (name) => /^blocks\.N\.(attn|kv)/.test(name)],
    ['MLP or mixture of block N', (name) => name.startsWith('blocks.N.mlp.')],
  ];
  const table = (entries: readonly (readonly [string, Row])[]): string[] => [
    '| hook | axes | meaning | edit | in |',
    '| --- | --- | --- | --- | --- |',
    ...entries.map(([name, row]) => {
      const where = modelTypes(row.types, types);
      return `| ${code(name)} | ${[...row.axes].map(code).join(', ')} | ${[...row.meanings].join('; or: ')} | ${[...row.edits].join('; or: ')} | ${where} |`;
    }),
    '',
  ];
  const sampler = samplerHooks(1).map((hook): [string, Row] => [
    hook.name,
    { axes: new Set([hook.axes]), meanings: new Set([hook.meaning]), edits: new Set([editsOf(hook)]), types },
  ]);
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
    '"In" names the model types that have a hook; "all" are all.',
    '',
    ...inGroup.flatMap(([title, holds]) => [`## ${title}`, '', ...table([...rows].filter(([name]) => holds(name)))]),
    '## Of the sampler, while `generate` runs',
    '',
    ...table(sampler),
  ];
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/hooks.md');
});
