// Inspect a model: the attention of a layer's heads, and the effect of ablating each head on the answer. Run after `npm start` or
// `npm run build`:
//   node examples/inspect.mjs [model]
import { load, scope, Tensor } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source, { weights: 'f32' });
const { tokenizer } = model;
const prompt = 'When Mary and John went to the store, John gave a drink to';
const [mary, john] = [' Mary', ' John'].map((name) => tokenizer.encode(name)[0]);
const words = tokenizer.encode(prompt).map((id) => tokenizer.decode([id]));

/**
 * The logit of Mary less that of John at the end of the prompt; logits are [T, V].
 *
 * @param {import('vitrine').Run} run
 */
const preference = ({ logits }) => {
  const { vocabSize } = model.config;
  const last = logits.data().subarray(-vocabSize);
  return last[mary] - last[john];
};

// Capture by name, or by glob over the layers.
const LAYER = 23;
const pattern = `blocks.${LAYER}.attn.hook_pattern`;
const clean = model.run(prompt, { capture: [pattern, 'blocks.*.hook_resid_post'] });
console.log(`residual stream: ${clean.acts['blocks.*.hook_resid_post']}`);
console.log(`attention:       ${clean.acts[pattern]}\n`);

const [heads, rows, keys] = clean.acts[pattern].shape;
const weights = clean.acts[pattern].data();
for (let head = 0; head < heads; head++) {
  const last = weights.subarray((head * rows + rows - 1) * keys, (head + 1) * rows * keys);
  const top = [...last.keys()].sort((a, b) => last[b] - last[a]).slice(0, 3);
  const seen = top.map((key) => `${JSON.stringify(words[key])} ${last[key].toFixed(2)}`);
  console.log(`layer ${LAYER} head ${head}, the last word attends to ${seen.join(', ')}`);
}

// Edit: the same pass with one head's output set to zero.
const before = preference(clean);
clean.dispose();
console.log(`\nlogit of " Mary" less that of " John": ${before.toFixed(3)}`);
for (let head = 0; head < heads; head++) {
  const ablated = model.run(prompt, { edit: { [`blocks.${LAYER}.attn.hook_z`]: (z) => withoutHead(z, head) } });
  const after = preference(ablated);
  console.log(`without head ${LAYER}.${head}: ${after.toFixed(3)} (${(after - before).toFixed(3)})`);
  ablated.dispose();
}
model.dispose();

/**
 * The output of all heads, with that of one head set to zero.
 *
 * @param {Tensor} z [T, H, d]
 * @param {number} head
 */
function withoutHead(z, head) {
  const keep = Float32Array.from({ length: z.shape[1] }, (_, index) => (index === head ? 0 : 1));
  return scope('', () => z.mul(Tensor.from(z.backend, keep, [1, z.shape[1], 1])));
}
