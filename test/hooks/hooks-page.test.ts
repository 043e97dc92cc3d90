import { format, resolveConfig } from 'prettier';
import { beforeAll, expect, it } from 'vitest';
import { planNetwork } from '../../src/engine/load/plan-network.ts';
import { samplerHooks } from '../../src/engine/generate/choose-token.ts';
import { genericName } from '../../src/hooks/hook-registry.ts';
import { AXES } from '../../src/hooks/axes.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import type { Hook } from '../../src/tensor/hook-point.ts';
import type { ModelInvariant } from '../../src/tensor/invariant.ts';
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

/** The invariants of all models by their formulas, in the order of the pass. */
const formulas = new Map<string, { readonly tolerance: number; readonly types: Set<string> }>();

function addInvariant({ formula, tolerance, layer }: ModelInvariant, modelType: string): void {
  const generic = formula
    .replaceAll(/experts\.\d+/g, 'experts.J')
    .replaceAll(/blocks\.(\d+)\.(hook_\w+)/g, (_, number: string, hook: string) =>
      Number(number) === layer ? hook : `${hook} of block N - 1`,
    );
  const known = formulas.get(generic) ?? { tolerance, types: new Set() };
  formulas.set(generic, known);
  known.types.add(modelType);
}

/** The sizes of SmolLM2-135M, of its config.json. */
const SMOLLM2 = { dim: 576, nHeads: 9, nKvHeads: 3, headDim: 64, mlpDim: 1536, vocabSize: 49152 };

const TRANSFORMER_LENS = [
  '## Where TransformerLens differs',
  '',
  'Names that it has mean the same here, but for these.',
  '',
  '- `hook_attn_in` is a copy for each head there (`use_attn_in`), and one for all heads here. Neither it nor `hook_mlp_in` needs a setting.',
  '- `mlp.experts.J.hook_pre` is the gate branch, as `hook_pre` of a dense MLP is in both; TransformerLens calls it `hook_gate` in experts, and',
  '  there `hook_pre` what is `hook_pre_linear` here.',
  '- `mlp.hook_expert_weights` are the weights as they are used, 0 for experts that were not chosen. For Mixtral, TransformerLens has',
  '  `mlp.router.hook_scores` under that name.',
  '- `hook_attn_out` and `hook_mlp_out` are what is added to the residual stream. For OLMo 2, TransformerLens shows them before the last norm: here',
  '  `attn.hook_out` and `mlp.hook_out`.',
  '- `ln1.hook_out` and `ln2.hook_out` of its Bridge are `attn.hook_in` and `mlp.hook_in`; `unembed.hook_in` is `ln_final.hook_out`.',
  '- `hook_attn_scores` and `hook_pattern` have no column for attention sinks: `attn.hook_sink_prob` is what a row lacks to 1.',
];

beforeAll(async () => {
  for (const model of [...MODELS, ...MIXTURES]) {
    const files = await openFolder(modelFolder(model));
    await files.checkpoint.close();
    for (const mla of ['absorbed', 'naive'] as const) {
      const { config, hooks, invariants } = planNetwork(files, { mla }).network;
      for (const invariant of invariants) addInvariant(invariant, config.modelType);
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
    '"In" says which layers have a hook, and names the model types that have such layers; "all" are all.',
    '',
    '## Axes',
    '',
    'Activations have no batch axis. A captured tensor says its axes in `axes`, and layers that a glob stacks are one more, `layer`, in',
    'front. The sizes are those of 14 tokens of SmolLM2-135M.',
    '',
    '| axis | what it counts | size |',
    '| --- | --- | --- |',
    ...Object.entries(AXES).map(([letter, { meaning, size }]) => {
      const shown = size(SMOLLM2, { positions: 14 }, 'blocks.0.mlp.hook_pre') ?? '';
      return `| ${code(letter)} | ${meaning} | ${shown} |`;
    }),
    '',
    ...TRANSFORMER_LENS,
    '',
    ...inGroup.flatMap(([title, holds]) => [`## ${title}`, '', ...table(order.filter(holds))]),
    '## Invariants',
    '',
    'What holds between the activations of a pass. `run` checks it with `checkInvariants: true`, and throws an `InvariantError` for the',
    'first that does not hold. `model.invariants` lists those of a loaded model. A difference is a part of the largest number in its row.',
    '',
    '| in block N | largest difference, f32 | in |',
    '| --- | --- | --- |',
    ...[...formulas].map(([formula, { tolerance, types: having }]) => {
      const shown = tolerance === 0 ? '0: equal to the bit' : tolerance.toExponential();
      return `| ${formula} | ${shown} | ${modelTypes(having, types)} |`;
    }),
    '',
  ];
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/hooks.md');
});
