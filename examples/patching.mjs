// Activation patching: where the clean prompt's residual stream restores the answer of the corrupt one. Writes a heat map.
// Run after `npm start` or `npm run build`:
//   node examples/patching.mjs [model]
import { load, logitDifference, patchingSweep } from 'vitrine';
import { source } from './model.mjs';
import { writeHeatMap } from './plots.mjs';

const model = await load(source);
const clean = 'When Mary and John went to the store, John gave a drink to';
const corrupt = 'When Mary and John went to the store, Mary gave a drink to';
const metric = logitDifference(model, ' Mary', ' John');
const grid = await patchingSweep(model, { clean, corrupt, hook: 'hook_resid_pre', metric });
const [layers, positions] = grid.shape;

/** The fraction of the difference between the two prompts that a patch restores. */
const restored = grid.values.map((value) => (value - grid.corrupt) / (grid.clean - grid.corrupt));
const words = model.tokensOf(corrupt).map((id) => model.tokenizer.decode([id]));
console.log(
  `logit of " Mary" less that of " John": clean ${grid.clean.toFixed(2)}, corrupt ${grid.corrupt.toFixed(2)}`,
);
for (const layer of [0, 10, 20, layers - 1]) {
  const row = restored.subarray(layer * positions, (layer + 1) * positions);
  const best = row.indexOf(Math.max(...row));
  console.log(`layer ${layer}: patching ${JSON.stringify(words[best])} restores ${(100 * row[best]).toFixed(0)}%`);
}
await writeHeatMap('patching.svg', {
  values: restored,
  rows: Array.from({ length: layers }, (_, layer) => String(layer)),
  columns: words,
  title: 'Fraction restored by the clean residual stream',
  row: 'layer',
  column: 'position',
});

model.dispose();
