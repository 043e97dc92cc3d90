import { expect, it } from 'vitest';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import type { WeightDeclaration } from '../../../src/model/weights/weight-point.ts';
import { MIXTURES, MODELS, modelFolder } from '../../support/fixtures.ts';

interface Row {
  readonly axes: Set<string>;
  readonly meanings: Set<string>;
  readonly types: Set<string>;
}

const code = (text: string): string => `\`${text}\``;
const generic = (name: string): string =>
  name.replace(/^blocks\.\d+\./, 'blocks.N.').replace(/experts\.\d+\./, 'experts.J.');

/** `all`, `all but a, b`, or the types that have it. */
function modelTypes(having: ReadonlySet<string>, all: ReadonlySet<string>): string {
  const lacking = [...all].filter((type) => !having.has(type)).sort();
  if (lacking.length === 0) return 'all';
  return lacking.length <= 4 ? `all but ${lacking.join(', ')}` : [...having].sort().join(', ');
}

/** All weights of the fixture models, and those that they say they lack, in the order of the pass. */
async function rowsOfModels(): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  const rowOf = (name: string): Row => {
    const row = rows.get(name) ?? { axes: new Set(), meanings: new Set(), types: new Set() };
    rows.set(name, row);
    return row;
  };
  const add = (one: WeightDeclaration, type: string): void => {
    const row = rowOf(generic(one.name));
    if ('absence' in one) return;
    row.axes.add(one.axes);
    row.meanings.add(one.meaning);
    row.types.add(type);
  };
  for (const model of [...MODELS, ...MIXTURES]) {
    const files = await openFolder(modelFolder(model));
    await files.checkpoint.close();
    for (const mla of ['absorbed', 'naive'] as const) {
      const { config, weightPoints } = planNetwork(files, { mla }).network;
      for (const one of weightPoints) add(one, config.modelType);
    }
  }
  return rows;
}

function page(rows: ReadonlyMap<string, Row>): string {
  const types = new Set([...rows.values()].flatMap((row) => [...row.types]));
  const inGroup: readonly (readonly [title: string, holds: (name: string) => boolean])[] = [
    ['Outside of blocks', (name) => !name.startsWith('blocks.')],
    ['Norms of block N', (name) => name.startsWith('blocks.N.ln')],
    ['Attention of block N', (name) => name.startsWith('blocks.N.attn.')],
    ['MLP or mixture of block N', (name) => name.startsWith('blocks.N.mlp.')],
  ];
  const table = (entries: readonly (readonly [string, Row])[]): string[] => [
    '| weight | axes | meaning | in |',
    '| --- | --- | --- | --- |',
    ...entries
      .filter(([, row]) => row.types.size > 0)
      .map(([name, row]) => {
        const axes = [...row.axes].map(code).join(', ');
        return `| ${code(name)} | ${axes} | ${[...row.meanings].join('; or: ')} | ${modelTypes(row.types, types)} |`;
      }),
    '',
  ];
  return [
    '# Weights by name',
    '',
    "`model.weights.get('blocks.3.attn.W_Q')` is a copy of a weight, f32 whatever it is stored in, on the model's backend; the caller",
    'disposes of it. `model.weights.names` lists the names of a loaded model in the order of the pass, and `model.weights.list` has axes,',
    "shape and meaning. Names and orientation are TransformerLens' where it has them: a row vector is multiplied from the left, `x W + b`,",
    'and heads have an axis of their own. Each part of the network declares its weights beside its parameters;',
    '`test/model/weights/weights-page.test.ts` writes this page from the declarations (`npx vitest run test/model/weights/weights-page.test.ts -u`).',
    '',
    'Where one may expect something else:',
    '',
    '- **Weights are those that the forward pass computes with**, and nothing is folded or centred. Gains of Gemma are `1 + w`, as they',
    '  multiply. Factors on embeddings, residual additions and logits (Gemma, Granite) are not in `W_E`, `W_O`, `W_out` or `W_U`.',
    '- **Key/value heads are as they are**: `W_K` of 3 heads for 9 query heads has 3. TransformerLens repeats them; query head h reads',
    '  key/value head `floor(h / (H / K))`.',
    '- **Rotary dimensions are half-split**: number i is rotated with number i + d/2. Files of DeepSeek and GGUFs have them interleaved, and are',
    '  put in this order when they are read.',
    '- **`mlp.W_gate` is always the gate of an MLP**, and a router is `mlp.W_router`; TransformerLens calls both `W_gate`. `b_router` is added to the',
    "  logits, and `b_choice` to the scores for the choice only (DeepSeek-V3's bias).",
    '- **A tied embedding and head are two weights**, `W_E` and `W_U`, as in TransformerLens: an edit of one leaves the other.',
    '- **Latent attention has the names of its paper** (DeepSeek-V2, arXiv 2405.04434), the same in both forms (`mla`).',
    '',
    'A name that a model lacks is an error, which says why: `This model has no weight "blocks.0.attn.b_Q": W_Q has no bias in this model.`',
    '',
    'Axes: `V` vocabulary, `P` learned positions, `D` model width, `H` query heads, `K` key/value heads, `d` head width (`dv` that of values,',
    '`dn` and `dr` its parts without rotation and with it), `r` and `rq` ranks of latents, `F` width of the MLP or expert, `E` experts. "In"',
    'names the model types that have a weight; "all" are all.',
    '',
    ...inGroup.flatMap(([title, holds]) => [`## ${title}`, '', ...table([...rows].filter(([name]) => holds(name)))]),
    '## Edits',
    '',
    '```js',
    "const W = 'blocks.3.attn.W_O';",
    'const { logits } = model.withWeights({ [W]: (w) => w.mul(0) }, () => model.run(prompt));',
    '```',
    '',
    '`model.withWeights(edits, body)` runs a body, which may be async, with edited weights, and restores them at its end, on errors too. An edit is',
    'a tensor or Float32Array of the shape of the weight, or a function that makes one of it. Scopes nest.',
    '',
    '- **Edits are computed in f32.** While they act, an f32 copy stands in for a matrix that is held as bf16, MXFP4 or FP8 (a bf16 copy where bf16',
    '  holds every number of it), so that the numbers around the edit stay bit for bit. Products round their operands as `compute` says, as ever.',
    '- **Only what is named changes**: of q, k and v in one matrix the part, of the experts of a stack the one.',
    '- **An edit to the same numbers replaces nothing**, and changes no bit of a result.',
    '- **A cache keeps what other weights have made**: give the body a cache of its own.',
    '- **Whatever runs on the model meanwhile has the edited weights**; a `generate` whose weights change on the way ends with an error, and so do two',
    '  scopes of which neither is within the other.',
    '',
  ].join('\n');
}

function names(rows: ReadonlyMap<string, Row>): string {
  // As the formatter has it: on one line where it fits.
  const union = (title: string, type: string, list: readonly string[]): string => {
    const line = `export type ${type} = ${list.join(' | ')};`;
    const lines = `export type ${type} =\n${list.map((name) => `  | ${name}`).join('\n')};`;
    return `/** ${title} */\n${line.length <= 120 ? line : lines}\n`;
  };
  const all = [...rows.keys()];
  const ofBlocks = all.filter((name) => name.startsWith('blocks.N.')).map((name) => name.slice('blocks.N.'.length));
  return [
    '// Written by test/model/weights/weights-page.test.ts from the declarations of all parts: npx vitest run test/model/weights/weights-page.test.ts -u\n',
    union(
      'A weight outside of blocks that some model may have.',
      'GlobalWeight',
      all.filter((name) => !name.startsWith('blocks.')).map((name) => `'${name}'`),
    ),
    union(
      'A weight of a block that some model may have, by its name under `blocks.N`.',
      'BlockWeight',
      ofBlocks.map((name) => (name.includes('.J.') ? `\`${name.replace('.J.', '.${number}.')}\`` : `'${name}'`)),
    ),
  ].join('\n');
}

it('docs/weights.md and the types of names list the weights that the architectures declare', async () => {
  const rows = await rowsOfModels();
  await expect(page(rows)).toMatchFileSnapshot('../../../docs/weights.md');
  await expect(names(rows)).toMatchFileSnapshot('../../../src/model/weights/weight-names.ts');
});
